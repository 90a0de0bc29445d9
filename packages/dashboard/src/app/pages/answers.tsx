import { Table } from '@mantine/core'
import type { InteractionPage, ListedInteraction } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { withQuery } from '../api.ts'
import { formatMs, formatTime, shorten } from '../format.ts'
import type { PageProps } from '../pages.ts'
import { AnswerFilters, readFilters } from '../parts/answer-filters.tsx'
import { visible } from '../parts/content.tsx'
import { Loaded, Nothing, PageFrame } from '../parts/page-frame.tsx'
import { Pager } from '../parts/pager.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { TerminationBadge } from '../parts/termination-badge.tsx'
import { lastPrompt } from '../prompt.ts'
import { useAnswer } from '../use-answer.ts'
import { AnswerRecord } from './answer.tsx'

const pageSize = '50'
const pollMs = 5_000
/** What evaluators and people said is looked up record by record. */
const slowPollMs = 60_000

/** `#/answers` is the list, `#/answers/RECORD` one of them. */
export function Answers({ rest, query }: PageProps) {
  return rest.length === 0 ? <AnswerList query={query} /> : <AnswerRecord id={rest[0]} />
}

function AnswerList({ query }: { readonly query: URLSearchParams }) {
  const filters = readFilters(query)
  const after = query.get('after') ?? undefined
  // Older pages stand still: only the newest answers come in by themselves.
  const path = withQuery('/api/interactions', { ...filters, after, limit: pageSize })
  const isSlow = ['evaluator', 'verdict', 'category', 'feedback'].some((name) => query.has(name))
  const answer = useAnswer<InteractionPage>(path, after === undefined ? (isSlow ? slowPollMs : pollMs) : undefined)
  return (
    <PageFrame title="Answers" tools={<Freshness isLive={after === undefined} />}>
      <AnswerFilters filters={filters} />
      <Loaded answer={answer}>
        {({ data, next }) => (
          <>
            {data.length === 0 ? (
              <Nothing>
                {next !== null ? noneHere : Object.keys(filters).length > 0 ? 'No answer fits.' : noneYet}
              </Nothing>
            ) : (
              <AnswerTable answers={data} />
            )}
            <Pager
              of="answers"
              links={{
                Newest: after === undefined ? null : addressOf(['answers'], filters),
                Older: next && addressOf(['answers'], { ...filters, after: next }),
              }}
            />
          </>
        )}
      </Loaded>
    </PageFrame>
  )
}

const noneYet = 'No answer yet. They come here once plumb serve has passed them on.'
const noneHere = 'None of the answers that were looked at fits. “Older” looks further back.'

function Freshness({ isLive }: { readonly isLive: boolean }) {
  return <span className="freshness">{isLive ? 'live: new answers come in by themselves' : 'older answers'}</span>
}

function AnswerTable({ answers }: { readonly answers: readonly ListedInteraction[] }) {
  return (
    <Table className="list" verticalSpacing="xs">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>When</Table.Th>
          <Table.Th>Asked, answered</Table.Th>
          <Table.Th>Flagged by</Table.Th>
          <Table.Th>Model</Table.Th>
          <Table.Th>Ended</Table.Th>
          <Table.Th className="number">Took</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {answers.map((one) => (
          <Table.Tr key={one.record}>
            <Table.Td data-label="When" className="no-wrap">
              {formatTime(one.created_at)}
            </Table.Td>
            <Table.Td className="wide">
              <a className="row-link" href={addressOf(['answers', one.record])} dir="auto">
                {visible(shorten(lastPrompt(one))) || '(no text)'}
              </a>
              <div className="second-line" dir="auto">
                {visible(shorten(one.text)) || (one.redaction === null ? '' : 'content taken out')}
              </div>
            </Table.Td>
            <Table.Td className="flags">
              {flagsOf(one).map((flag) => (
                <StateBadge key={flag} tone="watch">
                  {visible(flag)}
                </StateBadge>
              ))}
            </Table.Td>
            <Table.Td data-label="Model" className="name">
              {visible(shorten(one.model ?? one.request_model ?? 'unknown', 40))}
            </Table.Td>
            <Table.Td data-label="Ended">
              <TerminationBadge termination={one.termination} />
            </Table.Td>
            <Table.Td data-label="Took" className="number no-wrap">
              {formatMs(one.timings.total_ms)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}

/** What evaluators found, each finding once, whichever versions found it. */
function flagsOf({ flagged_by }: ListedInteraction): string[] {
  return [...new Set(flagged_by.map(({ evaluator, category }) => [evaluator, category].filter(Boolean).join(': ')))]
}
