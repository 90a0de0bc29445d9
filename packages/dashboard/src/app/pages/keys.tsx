import { Alert, Button, NativeSelect, Table, TextInput } from '@mantine/core'
import type { CreatedKey, KeyPage } from '@plumbline/contracts'
import { type FormEvent, useState } from 'react'
import { addressOf } from '../address.ts'
import { type ApiError, call, failureOf, withQuery } from '../api.ts'
import { formatTime } from '../format.ts'
import type { PageProps } from '../pages.ts'
import { visible } from '../parts/content.tsx'
import { Loaded, PageFrame, Trouble } from '../parts/page-frame.tsx'
import { Pager } from '../parts/pager.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { useSureness } from '../parts/use-sureness.ts'
import { useSession } from '../session.ts'
import { useAnswer } from '../use-answer.ts'

const pageSize = '100'

/** Who may come in. */
export function Keys({ query }: PageProps) {
  const after = query.get('after') ?? undefined
  const answer = useAnswer<KeyPage>(withQuery('/api/keys', { after, limit: pageSize }))
  const [error, setError] = useState<ApiError>()
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work()
      setError(undefined)
    } catch (failure) {
      setError(failureOf(failure))
    }
    answer.refresh()
  }
  return (
    <PageFrame title="Keys">
      {error !== undefined && <Trouble error={error} />}
      <NewKey attempt={attempt} />
      <Loaded answer={answer}>
        {({ data, next }) => (
          <>
            <KeyTable keys={data} onRevoke={(id) => attempt(() => call(`/api/keys/${id}`, { method: 'DELETE' }))} />
            <Pager of="keys" links={{ More: next && addressOf(['keys'], { after: next }) }} />
          </>
        )}
      </Loaded>
    </PageFrame>
  )
}

function NewKey({ attempt }: { readonly attempt: (work: () => Promise<unknown>) => Promise<void> }) {
  const [made, setMade] = useState<CreatedKey>()
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const { scope, name } = Object.fromEntries(new FormData(form))
    await attempt(async () => {
      setMade(await call<CreatedKey>('/api/keys', { method: 'POST', body: { scope, name } }))
      form.reset()
    })
  }
  return (
    <>
      <form className="filters" onSubmit={submit} aria-label="Make a key">
        <TextInput name="name" label="For whom or what" maxLength={200} required />
        <NativeSelect name="scope" label="What it opens">
          <option value="client">client: the models</option>
          <option value="reviewer">reviewer: feedback and review</option>
          <option value="admin">admin: everything of the project</option>
        </NativeSelect>
        <div className="filter-buttons">
          <Button type="submit">Make a key</Button>
        </div>
      </form>
      {made !== undefined && (
        <Alert color="green" role="status" title={`The new ${made.scope} key, shown this once: copy it now`} mb="md">
          <code className="secret">{made.key}</code>
        </Alert>
      )}
    </>
  )
}

interface KeyTableProps {
  readonly keys: KeyPage['data']
  readonly onRevoke: (id: string) => void
}

function KeyTable({ keys, onRevoke }: KeyTableProps) {
  const { key_id } = useSession()
  return (
    <Table className="list">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Scope</Table.Th>
          <Table.Th>Project</Table.Th>
          <Table.Th>Id</Table.Th>
          <Table.Th>Made</Table.Th>
          <Table.Th>State</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {keys.map(({ id, name, scope, project, created_at, revoked_at }) => (
          <Table.Tr key={id}>
            <Table.Th scope="row">{visible(name) || '(no name)'}</Table.Th>
            <Table.Td data-label="Scope">{scope}</Table.Td>
            <Table.Td data-label="Project">{project}</Table.Td>
            <Table.Td data-label="Id">{id}</Table.Td>
            <Table.Td data-label="Made">{formatTime(created_at)}</Table.Td>
            <Table.Td data-label="State">
              {revoked_at !== null && <StateBadge tone="quiet">{`revoked ${formatTime(revoked_at)}`}</StateBadge>}
              {revoked_at === null && id === key_id && <StateBadge tone="good">yours</StateBadge>}
              {revoked_at === null && id !== key_id && <RevokeButton name={name || id} onRevoke={() => onRevoke(id)} />}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}

/** Asks once more, as there is no way back. */
function RevokeButton({ name, onRevoke }: { readonly name: string; readonly onRevoke: () => void }) {
  const { isAsked, confirm, forget } = useSureness()
  if (!isAsked) {
    return (
      <Button variant="default" size="xs" onClick={confirm} aria-label={`Revoke ${visible(name)}`}>
        Revoke
      </Button>
    )
  }
  return (
    <Button color="red" size="xs" onClick={() => confirm() && onRevoke()} onBlur={forget} autoFocus>
      For good?
    </Button>
  )
}
