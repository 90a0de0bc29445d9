import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import { createJudge, type Evaluator, evaluators as known } from '@plumbline/evals'
import { createPoster, type Poster } from '@plumbline/gateway/checked-post'

/** What a lane judges with: plain data, so that it can go to another thread. */
export interface EvaluatorSetup {
  readonly names: readonly string[]
  /** A module whose `evaluators` are used in place of ours. */
  readonly module?: string | undefined
  readonly facts: readonly { readonly about: string; readonly value: string | number; readonly aliases?: string[] }[]
  readonly canaries: readonly { readonly prompt: string; readonly answers: readonly (string | number)[] }[]
  /** Keys of metadata that name cohorts. */
  readonly cohorts: readonly string[]
  readonly judge?: JudgeSetup | undefined
}

export interface JudgeSetup {
  readonly url: string
  readonly model: string
  readonly policy: string
  readonly key: string | undefined
  readonly isPrivate: boolean
  readonly budgetMs: number
}

/** The evaluators of a setup, the judge at the end. What the setup adds to one is part of its version. */
export function evaluatorsOf(
  setup: EvaluatorSetup,
  source: Readonly<Record<string, Evaluator>> = known,
): { list: Evaluator[]; close: () => Promise<void> } {
  const list = setup.names.map((name) => withSettings(source[name], setup))
  if (setup.judge === undefined) return { list, close: async () => {} }
  const poster = createPoster(`${setup.judge.url.replace(/\/+$/, '')}/chat/completions`, {
    what: 'judge.url',
    isPrivate: setup.judge.isPrivate,
  })
  return { list: [...list, openJudge(setup.judge, poster)], close: poster.close }
}

function withSettings(evaluator: Evaluator, { facts, canaries }: EvaluatorSetup): Evaluator {
  const decides = evaluator.name === 'facts' ? facts : evaluator.name === 'canary' ? canaries : undefined
  if (decides === undefined) return evaluator
  const hash = createHash('sha256').update(JSON.stringify(decides)).digest('hex').slice(0, 8)
  return { ...evaluator, version: `${evaluator.version}-${hash}` }
}

function openJudge({ model, policy, key, budgetMs }: JudgeSetup, poster: Poster): Evaluator {
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  return createJudge({
    model,
    policy,
    budgetMs,
    post: (body, signal) => poster.post(JSON.stringify(body), headers, signal),
  })
}

/** Throws for a name that no evaluator has. */
export function checkNames(place: string, names: readonly string[]): void {
  const wrong = names.find((name) => !Object.hasOwn(known, name))
  if (wrong === undefined) return
  throw new PlumblineError('MONITORING_CONFIG', `${place}: there is no ${wrong}.`, {
    hint: `There are: ${Object.keys(known).join(', ')}; a judge has a section of its own.`,
  })
}
