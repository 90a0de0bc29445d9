import { Alert } from '@mantine/core'
import type { Choice, Interaction } from '@plumbline/contracts'
import { formatTime } from '../format.ts'
import { messagesOf } from '../prompt.ts'
import { Content, visible } from './content.tsx'

/** What was asked and answered. */
export function Conversation({ record }: { readonly record: Interaction }) {
  const choices = record.choices.length > 0 ? record.choices : [onlyText(record.text)]
  return (
    <section aria-label="Conversation" className="conversation">
      {record.redaction !== null && (
        <Alert color="gray" title="The content was taken out">
          {formatTime(record.redaction.at)}, {reasons[record.redaction.reason]}.
        </Alert>
      )}
      {messagesOf(record).map(({ role, text }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: messages have no id and do not move
        <Turn key={index} who={role} text={text} />
      ))}
      {record.redaction === null &&
        choices.map((choice) => <AnswerTurn key={choice.index} choice={choice} of={choices.length} />)}
      {record.error !== null && (
        <Alert color="red" title="Ended with an error">
          {visible(record.error.message)}
        </Alert>
      )}
    </section>
  )
}

const reasons = {
  retention: 'as it was older than content is kept',
  subject: 'as the person it was for asked for it',
  record: 'of this record alone',
}

const onlyText = (text: string): Choice => ({
  index: 0,
  text,
  reasoning: '',
  refusal: '',
  tool_calls: [],
  finish_reason: null,
})

function AnswerTurn({ choice, of }: { readonly choice: Choice; readonly of: number }) {
  const name = of > 1 ? `answer ${choice.index + 1} of ${of}` : 'answer'
  const calls = choice.tool_calls.map((one) => `${one.name ?? '?'}(${one.arguments})`).join('\n')
  return (
    <>
      {choice.reasoning !== '' && <Turn who="reasoning" text={choice.reasoning} />}
      {(choice.text !== '' || (choice.refusal === '' && calls === '')) && (
        <Turn who={name} text={choice.text} isAnswer />
      )}
      {choice.refusal !== '' && <Turn who="refusal" text={choice.refusal} isAnswer />}
      {calls !== '' && <Turn who="calls" text={calls} isAnswer />}
    </>
  )
}

function Turn({ who, text, isAnswer }: { readonly who: string; readonly text: string; readonly isAnswer?: true }) {
  return (
    <div className="turn" data-answer={isAnswer}>
      <div className="who">{visible(who)}</div>
      <Content text={text} />
    </div>
  )
}
