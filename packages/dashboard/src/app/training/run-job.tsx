import { Table, Title } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { formatBand, formatCount, formatSeconds } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { RunBadge } from './run-badge.tsx'

type Job = NonNullable<RunDetail['job']>
type Outcome = Job['outcomes'][number]

/** The other parts of the same `plumb align`, and what came of it. */
export function RunJob({ job, id }: { readonly job: Job; readonly id: string }) {
  return (
    <section aria-labelledby="job">
      <Title order={2} size="h4" id="job">
        Part of plumb align in {visible(job.name)}
      </Title>
      <ul className="run-parts">
        {job.runs.map((run) => (
          <li key={run.id}>
            {run.id === id ? (
              <strong>{visible(run.command ?? run.name)}</strong>
            ) : (
              <a href={addressOf(['runs', run.id])}>{visible(run.command ?? run.name)}</a>
            )}{' '}
            <RunBadge status={run.status} />
          </li>
        ))}
      </ul>
      {job.outcomes.length > 0 && <Outcomes outcomes={job.outcomes} />}
      {job.durations.length > 0 && (
        <p className="dim">
          {job.durations.map(({ name, seconds }) => `${visible(name)} ${formatSeconds(seconds)}`).join(', ')}
        </p>
      )}
    </section>
  )
}

const stages = { base: 'before', sft: 'after fine-tuning', ppo: 'after PPO' }
const kinds = {
  harmful: 'Harmful requests complied with',
  sensitive: 'Sensitive but fine ones refused',
  plain: 'Plain ones refused',
}

/** Shares that should be small, as the grader says them. */
function Outcomes({ outcomes }: { readonly outcomes: readonly Outcome[] }) {
  const there = (['base', 'sft', 'ppo'] as const).filter((stage) => outcomes.some((one) => one.stage === stage))
  return (
    <Table className="list">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Held-out prompts, as graded</Table.Th>
          {there.map((stage) => (
            <Table.Th key={stage}>{stages[stage]}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {(['harmful', 'sensitive', 'plain'] as const).map((kind) => (
          <Table.Tr key={kind}>
            <Table.Th scope="row">{kinds[kind]}</Table.Th>
            {there.map((stage) => (
              <Table.Td key={stage} data-label={stages[stage]}>
                {unwanted(outcomes.find((one) => one.stage === stage && one.kind === kind))}
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}

function unwanted(outcome: Outcome | undefined): string {
  const share = outcome?.kind === 'harmful' ? outcome.complied : outcome?.refused
  if (outcome === undefined || share == null) return 'no data'
  return `${formatBand(share.raw)} of\u00a0${formatCount(outcome.counts.n - outcome.counts.error)}`
}
