import type { GuardVerdict } from '@plumbline/contracts'
import { type Direction, type Guard, isEnforcing } from './guard.ts'
import { type Run, stops } from './run.ts'
import type { WholeAnswer } from './whole-stage.ts'

/** What one guard says of one text. */
interface Word {
  readonly isFlagged: boolean
  readonly isStopped: boolean
  readonly label: string | null
  readonly score: number | null
  readonly error: string | null
  readonly ms: number
  readonly isSkipped?: boolean
}

/** One line a guard over all texts that it looked at: the worst of what it says, in the guards' order. */
export function collectVerdicts(
  guards: readonly Guard[],
  direction: Direction,
  runs: readonly Run[],
  answers: readonly WholeAnswer[],
): GuardVerdict[] {
  return guards.map((guard) => {
    const words = [
      ...runs.filter((run) => run.guard === guard).map(wordOfRun),
      ...answers.filter((answer) => answer.guard === guard).map(wordOfAnswer),
    ]
    return verdictOf(guard, direction, words)
  })
}

function verdictOf(guard: Guard, direction: Direction, words: readonly Word[]): GuardVerdict {
  const worst = words.reduce<Word | undefined>(
    (most, word) => (most === undefined || isWorse(guard, word, most) ? word : most),
    undefined,
  )
  const { name, version, mode } = guard
  const error = words.find((word) => word.error !== null)?.error ?? null
  const ms = words.reduce((sum, word) => sum + word.ms, 0)
  return {
    name,
    version,
    direction,
    mode,
    outcome: outcomeOf(guard, words),
    label: worst?.label ?? null,
    score: worst?.score ?? null,
    ms: Math.round(ms * 1000) / 1000,
    error,
  }
}

function outcomeOf(guard: Guard, words: readonly Word[]): GuardVerdict['outcome'] {
  if (words.length === 0) return 'skipped'
  if (words.some(({ isStopped }) => isStopped)) return 'blocked'
  if (words.some(({ isFlagged }) => isFlagged)) return guard.mode === 'redact' ? 'redacted' : 'flagged'
  return words.some(({ error }) => error !== null) ? 'error' : 'passed'
}

/** Found before not found, then by score; the first of equals stays. */
function isWorse({ isLowWorse = false }: Guard, a: Word, b: Word): boolean {
  if (a.isFlagged !== b.isFlagged) return a.isFlagged
  if (a.score === null || b.score === null) return a.score !== null
  return isLowWorse ? a.score < b.score : a.score > b.score
}

function wordOfRun(run: Run): Word {
  const { isFlagged, label, score, error, ms, blockedAt } = run
  return { isFlagged, isStopped: blockedAt < Number.POSITIVE_INFINITY, label, score, error, ms }
}

function wordOfAnswer({ guard, answer, ms }: WholeAnswer): Word {
  const isStopped = isEnforcing(guard) && stops(guard, answer)
  if ('error' in answer) return { isFlagged: false, isStopped, label: null, score: null, error: answer.error, ms }
  const { isFlagged, score, label } = answer
  return { isFlagged, isStopped, label: isFlagged ? label : null, score, error: null, ms }
}

/** The verdicts over several choices, as one line a guard. */
export function mergeVerdicts(
  guards: readonly Guard[],
  direction: Direction,
  lists: readonly (readonly GuardVerdict[])[],
): GuardVerdict[] {
  return guards.map((guard, i) => {
    const words = lists.map((list): Word => {
      const { outcome, label, score, error, ms } = list[i]
      const isFlagged = outcome === 'flagged' || outcome === 'redacted' || (outcome === 'blocked' && error === null)
      return { isFlagged, isStopped: outcome === 'blocked', label, score, error, ms, isSkipped: outcome === 'skipped' }
    })
    return verdictOf(
      guard,
      direction,
      words.filter(({ isSkipped }) => isSkipped !== true),
    )
  })
}
