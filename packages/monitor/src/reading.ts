/** What a monitor can say. A number stands only where there is one: "no data" is never zero. */
import type { Estimate } from '@plumbline/evals'

/** Why there is no number, in words for the dashboard. */
interface NoNumber {
  readonly reason: string
}

export type Reading<T> =
  | ({ readonly status: 'ok' } & T)
  /** Nothing happened that could be counted. */
  | ({ readonly status: 'no data' } & NoNumber)
  /** There is something, but too little of it, or nothing has judged it yet. */
  | ({ readonly status: 'not evaluated' } & NoNumber)
  | ({ readonly status: 'error'; readonly code: string } & NoNumber)
  /** The evaluator's error is not known. `raw` is what it says, to be shown as such. */
  | ({ readonly status: 'uncalibrated'; readonly raw: Estimate } & NoNumber)

export function ok<T extends object>(value: T): { readonly status: 'ok' } & T {
  return { status: 'ok', ...value }
}

export function noData(reason: string): { readonly status: 'no data'; readonly reason: string } {
  return { status: 'no data', reason }
}

export function notEvaluated(reason: string): { readonly status: 'not evaluated'; readonly reason: string } {
  return { status: 'not evaluated', reason }
}
