import { Alert, Table } from '@mantine/core'
import type { Run, RunPage } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { withQuery } from '../api.ts'
import { formatCount, formatTime, shorten } from '../format.ts'
import type { PageProps } from '../pages.ts'
import { visible } from '../parts/content.tsx'
import { Loaded, Nothing, PageFrame } from '../parts/page-frame.tsx'
import { Pager } from '../parts/pager.tsx'
import { RunBadge } from '../training/run-badge.tsx'
import { useAnswer } from '../use-answer.ts'
import { RunRecord } from './run.tsx'

/** `#/runs` is the list, `#/runs/ID` one of them. */
export function Runs({ rest, query }: PageProps) {
  return rest.length === 0 ? <RunList query={query} /> : <RunRecord id={rest[0]} />
}

const paceOf = (last: RunPage | undefined) => (last?.data.some(({ status }) => status === 'running') ? 5_000 : 15_000)

function RunList({ query }: { readonly query: URLSearchParams }) {
  const after = query.get('after') ?? undefined
  const answer = useAnswer<RunPage>(withQuery('/api/runs', { after, limit: '50' }), paceOf)
  return (
    <PageFrame title="Training runs">
      <Loaded answer={answer}>
        {({ data, next, folder, reason, note }) => (
          <>
            {note !== null && <p className="dim">{visible(note)}</p>}
            {folder === 'unreadable' && (
              <Alert color="red" role="alert" title="The folder of runs cannot be read">
                {visible(reason ?? '')}
              </Alert>
            )}
            {folder === 'none' && <Nothing>{howToGiveOne}</Nothing>}
            {folder === 'read' && data.length === 0 && <Nothing>{noneThere}</Nothing>}
            {data.length > 0 && <RunTable runs={data} />}
            <Pager
              of="runs"
              links={{
                Newest: after === undefined ? null : addressOf(['runs']),
                Older: next && addressOf(['runs'], { after: next }),
              }}
            />
          </>
        )}
      </Loaded>
    </PageFrame>
  )
}

const howToGiveOne = (
  <>
    This server was given no folder of training runs. Start it with <code>plumb serve --runs FOLDER</code>: the folder
    that holds what <code>--output</code> of plumb align, sft, reward or ppo named.
  </>
)
const noneThere =
  'No training run lies in the folder yet. One appears here as soon as plumb sft, reward, ppo or align writes below it.'

function RunTable({ runs }: { readonly runs: readonly Run[] }) {
  return (
    <Table className="list" verticalSpacing="xs">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Run</Table.Th>
          <Table.Th>Trainer</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th className="number">Step</Table.Th>
          <Table.Th>Started</Table.Th>
          <Table.Th>Last written</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {runs.map((run) => (
          <Table.Tr key={run.id}>
            <Table.Td className="wide">
              <a className="row-link" href={addressOf(['runs', run.id])} dir="auto">
                {visible(shorten(run.name))}
              </a>
              {run.error !== null && (
                <div className="second-line">{visible(shorten(`${run.error.code}: ${run.error.message}`))}</div>
              )}
            </Table.Td>
            <Table.Td data-label="Trainer">{visible(run.command ?? 'unknown')}</Table.Td>
            <Table.Td data-label="State">
              <RunBadge status={run.status} />
            </Table.Td>
            <Table.Td data-label="Step" className="number">
              {run.step === null ? 'none yet' : formatCount(run.step)}
            </Table.Td>
            <Table.Td data-label="Started">{run.started_at === null ? 'unknown' : formatTime(run.started_at)}</Table.Td>
            <Table.Td data-label="Last written">
              {run.updated_at === null ? 'unknown' : formatTime(run.updated_at)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}
