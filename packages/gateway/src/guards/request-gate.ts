import type { GuardVerdict } from '@plumbline/contracts'
import { ChoiceJudge, type Stop } from './choice-judge.ts'
import { type Guard, isEnforcing, noQuestion } from './guard.ts'
import { type RequestText, readRequest } from './shapes/request.ts'
import type { Mutable } from './shapes/shape.ts'

export interface RequestVerdict {
  readonly stop: Stop | undefined
  /** What no guard can read and is not allowed to pass. */
  readonly unreadable: readonly string[]
  /** Redacted: the body must be written anew. */
  readonly isChanged: boolean
  /** Resolves when those that only observe have spoken too. */
  readonly verdicts: Promise<GuardVerdict[]>
}

/** Looks at a request before it goes to the model; redacts in place. */
export async function judgeRequest(
  json: Mutable,
  guards: readonly Guard[],
  unreadablePolicy: 'refuse' | 'allow',
): Promise<RequestVerdict> {
  const { texts, unreadable } = readRequest(json)
  let decide = () => {}
  const decided = new Promise<void>((resolve) => {
    decide = resolve
  })
  const judge = judgeOf(texts, guards, () => {
    if (judge.isDone) decide()
  })
  judge.advance()
  await decided
  // What is stopped is on record, and what is to be redacted in it is not: there each text is gone through to its end.
  const redacting =
    judge.stop === undefined
      ? judge
      : judgeOf(
          texts,
          guards.filter(({ mode }) => mode === 'redact'),
          () => {},
        )
  if (redacting !== judge) redacting.advance()
  let isChanged = false
  for (const [i, { text, set }] of texts.entries()) {
    const given = redacting.delivered(String(i), 0, text.length)
    if (given === text) continue
    set(given)
    isChanged = true
  }
  const isRefusing = unreadablePolicy === 'refuse' && guards.some(isEnforcing)
  return {
    stop: judge.stop,
    unreadable: isRefusing ? unreadable : [],
    isChanged,
    verdicts: judge.finished.then(() => judge.verdicts()),
  }
}

function judgeOf(texts: readonly RequestText[], guards: readonly Guard[], onProgress: () => void): ChoiceJudge {
  const judge = new ChoiceJudge(guards, { direction: 'input', ...noQuestion }, onProgress)
  for (const [i, { source, text }] of texts.entries()) judge.push(String(i), source, text)
  judge.close()
  return judge
}
