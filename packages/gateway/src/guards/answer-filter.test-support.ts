import type { GuardVerdict } from '@plumbline/contracts'
import { AnswerFilter, shapes } from './answer-filter.ts'
import type { Guard } from './guard.ts'
import type { GuardWorld } from './kinds/kind.ts'

/** A world without a network. */
export const quietWorld: GuardWorld = {
  openEndpoint: () => () => Promise.reject(new Error('there is no network here')),
  secret: () => undefined,
}

export interface Filtered {
  readonly out: string
  readonly verdicts: readonly GuardVerdict[]
  readonly unknown: string | undefined
}

/** Sends the pieces of an answer through a filter. `pause` lets verdicts that take their time come in between. */
export async function filter(
  path: string,
  guards: readonly Guard[],
  pieces: readonly (string | Buffer)[],
  { isEventStream = true, pause }: { isEventStream?: boolean; pause?: () => Promise<void> } = {},
): Promise<Filtered> {
  const out: Buffer[] = []
  const answer = new AnswerFilter({
    shape: shapes[path],
    guards,
    question: { prompt: 'a question', conversation: [{ role: 'user', content: 'a question' }] },
    isEventStream,
    onBytes: (bytes) => out.push(bytes),
    onUnknown: () => {},
  })
  for (const piece of pieces) {
    answer.push(typeof piece === 'string' ? Buffer.from(piece) : piece)
    await pause?.()
  }
  answer.readEnd()
  await answer.end()
  const verdicts = (await answer.verdicts()).map((verdict) => ({ ...verdict, ms: 0 }))
  return { out: Buffer.concat(out).toString('utf8'), verdicts, unknown: answer.unknown }
}

/** What is left of a chat stream when a client has put it together: texts, calls and reasons by choice. */
export function readChatStream(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  const add = (key: string, more: unknown) => {
    if (typeof more === 'string' && more !== '') found[key] = (found[key] ?? '') + more
  }
  for (const line of text.split('\n')) {
    if (!line.startsWith('data: {')) continue
    for (const { index, delta = {}, finish_reason } of JSON.parse(line.slice(6)).choices ?? []) {
      add(`${index} text`, delta.content)
      add(`${index} reasoning`, delta.reasoning_content)
      add(`${index} refusal`, delta.refusal)
      for (const call of delta.tool_calls ?? []) {
        add(`${index} call ${call.index} name`, call.function?.name)
        add(`${index} call ${call.index}`, call.function?.arguments)
      }
      add(`${index} finish`, finish_reason)
    }
  }
  return found
}

/** The same of an answer in one piece. */
export function readChatWhole(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  const add = (key: string, more: unknown) => {
    if (typeof more === 'string' && more !== '') found[key] = more
  }
  for (const { index, message, finish_reason } of JSON.parse(text).choices) {
    add(`${index} text`, message.content)
    add(`${index} reasoning`, message.reasoning_content)
    add(`${index} refusal`, message.refusal)
    for (const [at, call] of (message.tool_calls ?? []).entries()) {
      add(`${index} call ${at} name`, call.function.name)
      add(`${index} call ${at}`, call.function.arguments)
    }
    add(`${index} finish`, finish_reason)
  }
  return found
}
