import { Table } from '@mantine/core'
import type { EvaluatorList } from '@plumbline/contracts'
import { formatCount, formatDay, formatShare, formatTime } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { StateBadge } from '../parts/state-badge.tsx'

type Evaluator = EvaluatorList['data'][number]
type Rate = NonNullable<Evaluator['calibration']>['sensitivity']

/** How good it is, by the texts that it came with and by what reviewers here decided; which of the two corrects its rate. */
export function Calibration({ one }: { readonly one: Evaluator }) {
  const { calibration, live, corrected_by: by } = one
  return (
    <section aria-label={`Calibration of ${one.evaluator}`} className="calibration">
      <Table className="list">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Calibration on</Table.Th>
            <Table.Th>Sensitivity</Table.Th>
            <Table.Th>Specificity</Table.Th>
            <Table.Th>When</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          <Table.Tr>
            <Table.Td data-label="Calibration on">
              <Source name="data set" isUsed={by === 'dataset'} />
              <span className="dim">{calibration === null ? 'not measured on one' : visible(calibration.dataset)}</span>
            </Table.Td>
            <Rates of={calibration} />
            <Table.Td data-label="When">{calibration === null ? 'never' : calibration.date}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Td data-label="Calibration on">
              <Source name="live labels" isUsed={by === 'live_labels'} />
              <span className="dim">{progressOf(live)}</span>
            </Table.Td>
            <Rates of={live} />
            <Table.Td data-label="When">{whenOf(live)}</Table.Td>
          </Table.Tr>
        </Table.Tbody>
      </Table>
      {calibration?.auc != null && (
        <p className="dim">
          AUC on the data set {calibration.auc.value.toFixed(3)} ({calibration.auc.low.toFixed(3)} to{' '}
          {calibration.auc.high.toFixed(3)})
        </p>
      )}
    </section>
  )
}

function Source({ name, isUsed }: { readonly name: string; readonly isUsed: boolean }) {
  return (
    <span className="calibration-source">
      {name} {isUsed && <StateBadge tone="good">corrects the rate</StateBadge>}
    </span>
  )
}

function Rates({
  of,
}: {
  readonly of: { readonly sensitivity: Rate | null; readonly specificity: Rate | null } | null
}) {
  return (
    <>
      <Table.Td data-label="Sensitivity">{shareOf(of?.sensitivity ?? null)}</Table.Td>
      <Table.Td data-label="Specificity">{shareOf(of?.specificity ?? null)}</Table.Td>
    </>
  )
}

function shareOf(rate: Rate | null) {
  if (rate === null) return 'no data'
  const { value, low, high, hits, n } = rate
  return (
    <>
      {formatShare(value)}{' '}
      <span className="dim">
        {formatShare(low)} to {formatShare(high)}; {formatCount(hits)} of {formatCount(n)}
      </span>
    </>
  )
}

function progressOf({ state, labels, n, flagged, needs }: Evaluator['live']): string {
  if (state === 'no_question') return 'no label is named for it (review.labels of the monitoring file)'
  const counts = `${formatCount(n)} answers, ${formatCount(flagged)} of them called ${labels.join(' or ')}`
  return state === 'in_use' ? counts : `${counts}; used from ${needs} of each kind`
}

function whenOf({ from, to, settled_at: at }: Evaluator['live']): string {
  if (from === null || to === null || at === null) return 'never'
  const days = from === to ? formatDay(from) : `${formatDay(from)} to ${formatDay(to)}`
  return `answers of ${days}; last label ${formatTime(at)}`
}
