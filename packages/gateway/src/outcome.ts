import type { Interaction } from '@plumbline/contracts'
import type { Answer } from './answer.ts'

/** What is known when an answer has ended, before its last bytes go out. */
export type Outcome = Pick<
  Interaction,
  | 'id'
  | 'model'
  | 'status'
  | 'termination'
  | 'text'
  | 'choices'
  | 'usage'
  | 'error'
  | 'timings'
  | 'response_bytes'
  | 'guards'
  | 'notes'
  | 'upstream'
  | 'upstream_request_id'
  | 'attempts'
  | 'best_of'
>

/** What is known before an answer is asked for. */
export type RequestFacts = Omit<Interaction, keyof Outcome | 'request'>

/** What an answer says, as records have it. One without an id of its own has that of its record. */
export function describeAnswer(answer: Answer, record: string) {
  const choices = [...answer.choices.values()].sort((a, b) => a.index - b.index)
  return {
    id: answer.id ?? record,
    model: answer.model ?? null,
    text: choices.find(({ index }) => index === 0)?.text ?? '',
    choices,
    usage: (answer.usage ?? null) as Interaction['usage'],
    error: answer.error ?? null,
  }
}
