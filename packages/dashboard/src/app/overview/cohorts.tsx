import { Table, Title } from '@mantine/core'
import type { MonitoringOverview } from '@plumbline/contracts'
import { formatBand, formatCount, formatShare } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { Nothing } from '../parts/page-frame.tsx'
import { GapBadge, ReadingBadge } from '../parts/reading.tsx'

/** Outcomes of each group that the caller names, beside all others. */
export function Cohorts({ cohorts }: Pick<MonitoringOverview, 'cohorts'>) {
  return (
    <section aria-labelledby="cohorts">
      <Title order={2} size="h4" id="cohorts">
        Groups beside each other
      </Title>
      {cohorts.length === 0 ? (
        <Nothing>No data: callers name no groups in their requests’ metadata, or none is watched.</Nothing>
      ) : (
        <Table className="list">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Group</Table.Th>
              <Table.Th>What</Table.Th>
              <Table.Th className="number">Judged</Table.Th>
              <Table.Th className="number">Rate</Table.Th>
              <Table.Th className="number">Others</Table.Th>
              <Table.Th className="number">Gap</Table.Th>
              <Table.Th>State</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {cohorts.map((one) => (
              <Table.Tr key={`${one.evaluator} ${one.attribute} ${one.cohort}`}>
                <Table.Th scope="row">
                  {visible(one.attribute)} {visible(one.cohort)}
                </Table.Th>
                <Table.Td data-label="What">{one.evaluator}</Table.Td>
                <Table.Td data-label="Judged" className="number">
                  {formatCount(one.judged)}
                </Table.Td>
                <Table.Td data-label="Rate" className="number">
                  {share(one.rate)}
                </Table.Td>
                <Table.Td data-label="Others" className="number">
                  {share(one.rest)}
                </Table.Td>
                <Table.Td data-label="Gap" className="number">
                  {formatBand(one.gap)}
                </Table.Td>
                <Table.Td data-label="State">
                  <CohortBadge one={one} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </section>
  )
}

const share = (estimate: { value: number } | null) => (estimate === null ? 'no data' : formatShare(estimate.value))

function CohortBadge({ one }: { readonly one: MonitoringOverview['cohorts'][number] }) {
  if (one.state !== 'measured' || one.is_gap === null) return <ReadingBadge state={one.state} />
  return <GapBadge isGap={one.is_gap} />
}
