import { Table, Title } from '@mantine/core'
import type { EvaluationState, Evaluations } from '@plumbline/contracts'
import { withQuery } from '../api.ts'
import { formatShare } from '../format.ts'
import { useAnswer } from '../use-answer.ts'
import { visible } from './content.tsx'
import { Loaded, Nothing } from './page-frame.tsx'
import { StateBadge, type Tone } from './state-badge.tsx'

type Evaluation = Evaluations['data'][number]

const pollMs = 10_000

/** What each state is called, and means. */
export const verdicts: Record<EvaluationState, { readonly word: string; readonly tone: Tone; readonly means: string }> =
  {
    flagged: { word: 'flagged', tone: 'watch', means: 'It found what it looks for.' },
    passed: { word: 'passed', tone: 'good', means: 'It did not find what it looks for.' },
    set_aside: { word: 'set aside', tone: 'quiet', means: 'There was nothing for it to judge.' },
    error: { word: 'error', tone: 'bad', means: 'It failed: this says nothing of the answer.' },
    waiting: { word: 'waiting', tone: 'quiet', means: 'It has not come to this answer yet.' },
    not_evaluated: {
      word: 'not evaluated',
      tone: 'quiet',
      means: 'The answer was not drawn for it, has no text, or came before it was started.',
    },
  }

/** What evaluators say of one answer; those that say nothing stand there too. */
export function EvaluationsOf({ interaction }: { readonly interaction: string }) {
  const answer = useAnswer<Evaluations>(withQuery('/api/evaluations', { interaction }), pollMs)
  return (
    <section aria-labelledby="evaluations">
      <Title order={2} size="h4" id="evaluations">
        What evaluators said
      </Title>
      <Loaded answer={answer}>
        {({ data }) =>
          data.length === 0 ? (
            <Nothing>No evaluator judges answers here: nothing is known of this one, good or bad.</Nothing>
          ) : (
            <EvaluationTable evaluations={data} />
          )
        }
      </Loaded>
    </section>
  )
}

function EvaluationTable({ evaluations }: { readonly evaluations: readonly Evaluation[] }) {
  return (
    <Table className="list">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Evaluator</Table.Th>
          <Table.Th>Verdict</Table.Th>
          <Table.Th className="number">Score</Table.Th>
          <Table.Th>Drawn</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {evaluations.map((one) => (
          <Table.Tr key={`${one.evaluator} ${one.version}`}>
            <Table.Th scope="row">
              {visible(one.evaluator)} <div className="second-line">{versionOf(one)}</div>
            </Table.Th>
            <Table.Td data-label="Verdict">
              <Verdict one={one} />
            </Table.Td>
            <Table.Td data-label="Score" className="number">
              {one.score === null ? 'none' : one.score.toFixed(2)}
            </Table.Td>
            <Table.Td data-label="Drawn">{drawnAs(one.probability)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}

function Verdict({ one }: { readonly one: Evaluation }) {
  const { word, tone, means } = verdicts[one.state]
  const said = one.state === 'flagged' ? [one.label, one.category] : one.state === 'error' ? [one.error] : []
  const words = said.filter((text) => text !== null && text !== one.state).join(', ')
  return (
    <>
      <StateBadge tone={tone}>{word}</StateBadge> {visible(words)}
      {one.state !== 'flagged' && one.state !== 'passed' && <div className="second-line">{means}</div>}
    </>
  )
}

function drawnAs(probability: number | null): string {
  if (probability === null) return 'no'
  return probability === 1 ? 'as all are' : `as ${formatShare(probability)} are`
}

const versionOf = ({ version, is_current }: Evaluation) => `version ${version}${is_current ? '' : ', not in use now'}`
