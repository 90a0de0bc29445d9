import { Button, Table, TextInput, Title } from '@mantine/core'
import type { AuditPage } from '@plumbline/contracts'
import { type FormEvent, useState } from 'react'
import { addressOf } from '../address.ts'
import { ApiError, call, failureOf, withQuery } from '../api.ts'
import { formatTime } from '../format.ts'
import type { PageProps } from '../pages.ts'
import { visible } from '../parts/content.tsx'
import { Fact } from '../parts/fact.tsx'
import { MonitoringSettings } from '../parts/monitoring-settings.tsx'
import { Loaded, PageFrame, Trouble } from '../parts/page-frame.tsx'
import { Pager } from '../parts/pager.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { useSureness } from '../parts/use-sureness.ts'
import { useAnswer } from '../use-answer.ts'

const pollMs = 10_000

/** The state of the gateway, what an administrator may do to it, and who did what. */
export function Settings({ query }: PageProps) {
  return (
    <PageFrame title="Settings">
      <GatewayState />
      <Actions />
      <MonitoringSettings />
      <Audit after={query.get('after') ?? undefined} />
    </PageFrame>
  )
}

interface Readiness {
  readonly status: string
  readonly recording: string
  readonly store: string
  readonly reward_model?: string
  readonly config: string
}

function GatewayState() {
  const answer = useAnswer<Readiness>('/readyz', pollMs)
  return (
    <section aria-label="State of the gateway">
      <Loaded answer={answer}>
        {({ status, recording, store, reward_model: rewardModel, config }) => (
          <dl className="facts in-a-row">
            {Object.entries({
              Gateway: status,
              Recording: recording,
              Store: store,
              ...(rewardModel === undefined ? {} : { 'Reward model': rewardModel }),
            }).map(([name, state]) => (
              <Fact key={name} name={name}>
                <StateBadge tone={['ready', 'ok'].includes(state) ? 'good' : 'bad'}>{state}</StateBadge>
              </Fact>
            ))}
            <Fact name="Configuration in force">{config}</Fact>
          </dl>
        )}
      </Loaded>
    </section>
  )
}

interface Action {
  readonly label: string
  readonly path: string
  readonly done: (answer: never) => string
}

const actions: readonly Action[] = [
  {
    label: 'Read the configuration anew',
    path: '/api/reload',
    done: ({ config }: { config: string }) => `Configuration ${config} is in force.`,
  },
  {
    label: 'Sign feedback tokens with a new secret',
    path: '/api/feedback-secrets',
    done: ({ id }: { id: string }) => `${id} signs from now on; tokens of older ones stay good.`,
  },
]

function Actions() {
  const [said, setSaid] = useState<string | ApiError>('')
  const sureness = useSureness()
  const attempt = async (work: () => Promise<string>) => setSaid(await work().catch(failureOf))
  const deletePerson = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    if (!sureness.confirm()) return
    const form = event.currentTarget
    const subject = String(new FormData(form).get('subject'))
    await attempt(async () => {
      const { job } = await call<{ job: string }>('/api/subjects/delete', { method: 'POST', body: { subject } })
      form.reset()
      return `None of this person’s records gets in any more; job ${job} takes out what is there.`
    })
  }
  return (
    <section aria-label="Actions">
      {said instanceof ApiError ? (
        <Trouble error={said} />
      ) : (
        <p role="status" className="said">
          {said}
        </p>
      )}
      <div className="filter-buttons">
        {actions.map(({ label, path, done }) => (
          <Button
            key={path}
            variant="default"
            onClick={() => attempt(async () => done(await call(path, { method: 'POST' })))}
          >
            {label}
          </Button>
        ))}
      </div>
      <Title order={2} size="h4">
        Delete a person
      </Title>
      <p className="dim">
        What this person asked, was answered and said goes for good, and what comes late of it does not get in. Their
        name is hashed as that of the caller’s requests.
      </p>
      <form
        className="filters"
        onSubmit={deletePerson}
        onChange={sureness.forget}
        aria-label="Delete a person’s records"
      >
        <TextInput name="subject" label="Person" placeholder="as the caller names them" maxLength={512} required />
        <div className="filter-buttons">
          <Button type="submit" color="red" variant={sureness.isAsked ? 'filled' : 'outline'} onBlur={sureness.forget}>
            {sureness.isAsked ? 'For good?' : 'Delete all their records'}
          </Button>
        </div>
      </form>
    </section>
  )
}

function Audit({ after }: { readonly after: string | undefined }) {
  const answer = useAnswer<AuditPage>(withQuery('/api/audit', { after, limit: '20' }))
  return (
    <section aria-labelledby="audit">
      <Title order={2} size="h4" id="audit">
        Who did what
      </Title>
      <Loaded answer={answer}>
        {({ data, next }) => (
          <>
            <Table className="list">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>When</Table.Th>
                  <Table.Th>Key</Table.Th>
                  <Table.Th>What</Table.Th>
                  <Table.Th>To what</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {data.map(({ position, at, actor, action, target, outcome }) => (
                  <Table.Tr key={position}>
                    <Table.Td data-label="When">{formatTime(at)}</Table.Td>
                    <Table.Td data-label="Key">{visible(actor)}</Table.Td>
                    <Table.Td data-label="What">
                      {action}
                      {outcome === 'refused' && ' (refused)'}
                    </Table.Td>
                    <Table.Td data-label="To what">{visible(target ?? '')}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
            <Pager of="the audit log" links={{ Older: next && addressOf(['settings'], { after: next }) }} />
          </>
        )}
      </Loaded>
    </section>
  )
}
