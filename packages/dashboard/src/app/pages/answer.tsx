import { Button, Paper, Title } from '@mantine/core'
import type { Feedback, FeedbackPage, Interaction } from '@plumbline/contracts'
import { useState } from 'react'
import { addressOf } from '../address.ts'
import { ApiError, call, failureOf, withQuery } from '../api.ts'
import { formatTime } from '../format.ts'
import { Content, visible } from '../parts/content.tsx'
import { Conversation } from '../parts/conversation.tsx'
import { EvaluationsOf } from '../parts/evaluations.tsx'
import { Loaded, Nothing, PageFrame, Trouble } from '../parts/page-frame.tsx'
import { RecordFacts } from '../parts/record-facts.tsx'
import { useAnswer } from '../use-answer.ts'

/** One answer with all that is kept of it. */
export function AnswerRecord({ id }: { readonly id: string }) {
  const answer = useAnswer<Interaction>(`/api/interactions/${encodeURIComponent(id)}`)
  return (
    <PageFrame title="Answer" tools={<ToReview interaction={id} />}>
      <p>
        <a href={addressOf(['answers'])}>All answers</a>
      </p>
      <Loaded answer={answer}>
        {(record) => (
          <div className="two-columns">
            <div>
              <Conversation record={record} />
              <EvaluationsOf interaction={record.record} />
              <FeedbackOf interaction={record.record} />
            </div>
            <RecordFacts record={record} />
          </div>
        )}
      </Loaded>
    </PageFrame>
  )
}

function ToReview({ interaction }: { readonly interaction: string }) {
  const [state, setState] = useState<'idle' | 'queued' | ApiError>('idle')
  const queue = async () => {
    try {
      await call('/api/review/items', { method: 'POST', body: { interaction, reason: 'uncertainty', reviewers: 2 } })
      setState('queued')
    } catch (error) {
      setState(failureOf(error))
    }
  }
  if (state instanceof ApiError) return <Trouble error={state} onAgain={queue} />
  return (
    <Button variant="default" onClick={queue} disabled={state === 'queued'}>
      {state === 'queued' ? 'Waits for two reviewers' : 'Put before reviewers'}
    </Button>
  )
}

function FeedbackOf({ interaction }: { readonly interaction: string }) {
  const answer = useAnswer<FeedbackPage>(withQuery('/api/feedback', { interaction, limit: '50' }), 10_000)
  return (
    <section aria-labelledby="feedback">
      <Title order={2} size="h4" id="feedback">
        What people said
      </Title>
      <Loaded answer={answer}>
        {({ data }) =>
          data.length === 0 ? (
            <Nothing>Nobody has said anything about this answer.</Nothing>
          ) : (
            data.map((one) => <FeedbackCard key={one.id} one={one} />)
          )
        }
      </Loaded>
    </section>
  )
}

export function FeedbackCard({ one }: { readonly one: Feedback }) {
  const what = [one.kind, one.category, one.rating === null ? null : String(one.rating)].filter(Boolean).join(' · ')
  return (
    <Paper withBorder p="sm" mb="xs" bg="var(--panel)">
      <div className="card-head">
        <strong>{visible(what)}</strong>
        <span className="dim">
          {one.actor_kind.replace('_', ' ')}, {formatTime(one.created_at)}
        </span>
      </div>
      {[one.text, one.chosen && `better: ${one.chosen}`, one.rejected && `worse: ${one.rejected}`].map(
        (text) => text && <Content key={text} text={text} />,
      )}
    </Paper>
  )
}
