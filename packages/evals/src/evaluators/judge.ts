/**
 * A language model asked whether an answer violates a policy, by an OpenAI-compatible server. Only the JSON that it is
 * asked for is a verdict: prose, another shape, silence and a server that refuses are errors. After some in a row it is not
 * asked again.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { PlumblineError, reason } from '@plumbline/contracts'
import { type EvaluateOptions, type EvaluationItem, type Evaluator, type Finding, versionOf } from '../evaluator.ts'
import { type JudgeVerdict, judgeBody, judgeInstructions, parseJson, readJudgeReply } from '../judge-question.ts'

export interface JudgeReply {
  readonly status: number
  readonly text: string
}

export interface JudgeSettings {
  readonly model: string
  /** What is not allowed, in words. */
  readonly policy: string
  /** For one answer, all attempts together. */
  readonly budgetMs: number
  /** Posts a body to `…/chat/completions`; rejects where no answer comes. */
  readonly post: (body: unknown, signal: AbortSignal) => Promise<JudgeReply>
}

const MAX_ATTEMPTS = 3
/** Before the second attempt; twice as long before the third. */
const PAUSE_MS = 250
/** Failures in a row after which the judge is left alone. */
const MAX_FAILURES = 8
const MAX_CHARACTERS = 30_000

export function createJudge({ model, policy, budgetMs, post }: JudgeSettings): Evaluator {
  let failuresInARow = 0
  return {
    name: 'judge',
    summary: 'answers that a model, asked by URL, finds against a policy',
    version: versionOf(1, model, judgeInstructions(policy)),
    flags: ['violates'],
    passes: ['allowed'],
    threshold: 0.5,
    async evaluate(item: EvaluationItem, { signal }: EvaluateOptions = {}): Promise<Finding> {
      if (failuresInARow >= MAX_FAILURES)
        throw new PlumblineError(
          'JUDGE_SET_ASIDE',
          `The judge failed ${MAX_FAILURES} times in a row: it is not asked again.`,
        )
      try {
        const budget = AbortSignal.timeout(budgetMs)
        const body = judgeBody(model, policy, judged(item))
        const { violates, score, category } = await ask(body, signal ? AbortSignal.any([budget, signal]) : budget)
        failuresInARow = 0
        return { score, label: violates ? 'violates' : 'allowed', ...(violates ? { category } : {}) }
      } catch (error) {
        failuresInARow++
        throw error
      }
    },
  }

  async function ask(body: unknown, signal: AbortSignal): Promise<JudgeVerdict> {
    let last = ''
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      try {
        if (attempt > 0) await wait(PAUSE_MS * attempt, undefined, { signal })
        const { status, text } = await post(body, signal)
        if (status === 200) return readJudgeReply(parseJson(text))
        last = `status ${status}`
        if (status < 500 && status !== 429) break
      } catch (error) {
        if (error instanceof PlumblineError) throw error
        if (signal.aborted) throw new PlumblineError('JUDGE_TIMEOUT', `The judge gave no answer within ${budgetMs} ms.`)
        last = reason(error)
      }
    }
    throw new PlumblineError(
      'JUDGE_UNAVAILABLE',
      `The judge cannot be asked: ${last}. Look at its URL, its key and whether it runs.`,
    )
  }
}

function judged({ prompt, completion, context }: EvaluationItem): Record<string, string> {
  const cut = (text: string) => text.slice(0, MAX_CHARACTERS)
  return {
    ...(context === undefined ? {} : { context: cut(context) }),
    request: cut(prompt),
    answer: cut(completion),
  }
}
