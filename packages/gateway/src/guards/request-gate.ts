import type { GuardVerdict } from '@plumbline/contracts'
import { RequestError } from '../openai-error.ts'
import { ChoiceJudge, type Stop } from './choice-judge.ts'
import { type Guard, isEnforcing, noQuestion } from './guard.ts'
import { type RequestText, readRequest } from './shapes/request.ts'
import type { Mutable } from './shapes/shape.ts'
import { turn } from './turns.ts'

export interface RequestVerdict {
  readonly stop: Stop | undefined
  /** What no guard can read and is not allowed to pass. */
  readonly unreadable: readonly string[]
  /** Redacted or pruned: the body must be written anew. */
  readonly isChanged: boolean
  /** The last thing the user said, as the model gets it. */
  readonly prompt: string
  /** Resolves when those that only observe have spoken too. */
  readonly verdicts: Promise<GuardVerdict[]>
}

/** Looks at a request before it goes to the model; redacts and prunes in place. */
export async function judgeRequest(
  json: Mutable,
  guards: readonly Guard[],
  unreadablePolicy: 'refuse' | 'allow',
  isCut: () => boolean,
): Promise<RequestVerdict> {
  const { texts, unreadable, repeats } = readRequest(json)
  if (texts.length > maxTexts) {
    throw new RequestError(400, 'too_many_texts', `A request has at most ${maxTexts} texts.`)
  }
  const judge = await judgeTexts(texts, guards, isCut)
  // What is stopped is on record, and what is to be redacted in it is not: there each text is gone through to its end.
  const redacting =
    judge.stop === undefined
      ? judge
      : await judgeTexts(
          texts,
          guards.filter(({ mode }) => mode === 'redact'),
          isCut,
        )
  const mayAct = guards.some(isEnforcing)
  const pruned = mayAct ? repeats : []
  for (const prune of pruned) prune()
  let isChanged = pruned.length > 0
  let prompt = ''
  for (const [i, { source, text, set }] of texts.entries()) {
    const delivered = (from: number, to: number) => redacting.delivered(String(i), from, to)
    const given = delivered(0, text.length)
    if (source === 'user') prompt = given
    if (given === text) continue
    set(delivered)
    isChanged = true
  }
  return {
    stop: judge.stop,
    unreadable: mayAct && unreadablePolicy === 'refuse' ? unreadable : [],
    isChanged,
    prompt,
    verdicts: judge.finished.then(() => judge.verdicts()),
  }
}

/** Each costs memory and time of its own, however short. Embeddings take 2,048 texts at most. */
const maxTexts = 20_000
/** So many are taken up in one turn. */
const textsATurn = 256

/** Resolves when it is decided what becomes of the texts; after a cut maybe never. */
async function judgeTexts(
  texts: readonly RequestText[],
  guards: readonly Guard[],
  isCut: () => boolean,
): Promise<ChoiceJudge> {
  let decide = () => {}
  const decided = new Promise<void>((resolve) => {
    decide = resolve
  })
  const judge = new ChoiceJudge(guards, { direction: 'input', ...noQuestion, isCut }, () => {
    if (judge.isDone) decide()
  })
  for (const [i, { source, text }] of texts.entries()) {
    judge.push(String(i), source, text)
    if ((i + 1) % textsATurn !== 0) continue
    await turn()
    if (isCut()) throw new Error('nobody waits any more')
  }
  judge.close()
  judge.advance()
  await decided
  return judge
}
