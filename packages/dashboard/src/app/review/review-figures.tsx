import { Table, Title } from '@mantine/core'
import type { ReviewStats } from '@plumbline/contracts'
import { formatCount, formatMs } from '../format.ts'
import { Nothing } from '../parts/page-frame.tsx'

/** How far reviewers agree, and of each the pace and the accuracy on items whose label is known. */
export function ReviewFigures({ stats: { agreement, reviewers } }: { readonly stats: ReviewStats }) {
  return (
    <section aria-labelledby="reviewers">
      <Title order={2} size="h4" id="reviewers">
        Reviewers
      </Title>
      <p>
        {agreement.alpha === null
          ? 'Agreement: no data, as no answer has two independent labels yet.'
          : `Agreement (Krippendorff’s alpha): ${agreement.alpha.toFixed(2)} over ${formatCount(agreement.items)} answers with ${formatCount(agreement.labels)} labels.`}
      </p>
      {reviewers.length === 0 ? (
        <Nothing>Nobody has judged an answer yet.</Nothing>
      ) : (
        <Table className="list">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Reviewer’s key</Table.Th>
              <Table.Th className="number">Judged</Table.Th>
              <Table.Th className="number">Skipped</Table.Th>
              <Table.Th className="number">Median time</Table.Th>
              <Table.Th className="number">Right on known items</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {reviewers.map(({ reviewer, submitted, skipped, median_lead_ms, gold }) => (
              <Table.Tr key={reviewer}>
                <Table.Td data-label="Key">{reviewer}</Table.Td>
                <Table.Td data-label="Judged" className="number">
                  {formatCount(submitted)}
                </Table.Td>
                <Table.Td data-label="Skipped" className="number">
                  {formatCount(skipped)}
                </Table.Td>
                <Table.Td data-label="Median time" className="number">
                  {median_lead_ms === null ? 'no data' : formatMs(median_lead_ms)}
                </Table.Td>
                <Table.Td data-label="Right on known items" className="number">
                  {gold.of === 0 ? 'no data' : `${gold.right} of ${gold.of}`}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </section>
  )
}
