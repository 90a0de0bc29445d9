import { Table, Title } from '@mantine/core'
import type { MonitoringOverview } from '@plumbline/contracts'
import { formatBand, formatCount } from '../format.ts'
import { Nothing } from '../parts/page-frame.tsx'
import { GapBadge, ReadingBadge } from '../parts/reading.tsx'
import { StateBadge } from '../parts/state-badge.tsx'

/** The same prompt with another person in it: how often the answer is judged otherwise. */
export function Counterfactuals({ counterfactual }: Pick<MonitoringOverview, 'counterfactual'>) {
  return (
    <section aria-labelledby="counterfactuals">
      <Title order={2} size="h4" id="counterfactuals">
        The same question about somebody else
      </Title>
      {counterfactual === null ? (
        <Nothing>Off: the monitoring file names no upstream that may be asked in the shadow.</Nothing>
      ) : (
        <Readings counterfactual={counterfactual} />
      )}
    </section>
  )
}

type Shown = NonNullable<MonitoringOverview['counterfactual']>

function Readings({ counterfactual: { looked, named, not_asked, readings } }: { readonly counterfactual: Shown }) {
  const asked = readings.filter(({ pairs, set_aside, errors }) => pairs + set_aside + errors > 0)
  const axes = (list: Shown['readings']) => new Set(list.map(({ axis }) => axis))
  const missing = axes(readings).difference(axes(asked))
  return (
    <>
      <p>
        {formatCount(looked)} prompts were read, {formatCount(named)} name one side of a pair; {formatCount(not_asked)}{' '}
        were not asked again.{missing.size > 0 && ` No pair yet of ${[...missing].join(', ')}.`}
      </p>
      <Table className="list">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Sides</Table.Th>
            <Table.Th>What</Table.Th>
            <Table.Th className="number">Pairs</Table.Th>
            <Table.Th className="number">Differ</Table.Th>
            <Table.Th className="number">First minus second</Table.Th>
            <Table.Th>State</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {readings
            .filter(({ axis }) => !missing.has(axis))
            .map((one) => (
              <Table.Tr key={`${one.axis} ${one.evaluator}`}>
                <Table.Th scope="row">
                  {one.axis}: {one.first}, {one.second}
                </Table.Th>
                <Table.Td data-label="What">{one.evaluator}</Table.Td>
                <Table.Td data-label="Pairs" className="number">
                  {formatCount(one.pairs)}
                </Table.Td>
                <Table.Td data-label="Differ" className="number">
                  {formatBand(one.flip_rate)}
                </Table.Td>
                <Table.Td data-label="First minus second" className="number">
                  {formatBand(one.gap)}
                </Table.Td>
                <Table.Td data-label="State">
                  <PairBadge one={one} />
                </Table.Td>
              </Table.Tr>
            ))}
        </Table.Tbody>
      </Table>
    </>
  )
}

function PairBadge({ one }: { readonly one: Shown['readings'][number] }) {
  const { state, reason, is_gap, is_lopsided, first, second, lost_first, lost_second } = one
  if (state !== 'measured' || is_gap === null)
    return (
      <span title={reason ?? undefined}>
        <ReadingBadge state={state} />
      </span>
    )
  if (is_lopsided && !is_gap) {
    const lost = `No verdict on one side only: ${first} ${formatCount(lost_first)}, ${second} ${formatCount(lost_second)}.`
    return (
      <span title={lost}>
        <StateBadge tone="watch">one side is missing</StateBadge>
      </span>
    )
  }
  return <GapBadge isGap={is_gap} />
}
