/** What an evaluator is: one answer in; a score, a label and a version out, or an error, which is neither good nor bad. */
import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import type { Estimate } from './proportions.ts'

/** Something known to be true: `about` names it as an answer would, `value` is what must be said of it. */
export interface Fact {
  readonly about: string
  readonly value: string | number
  /** Other ways to say the value. */
  readonly aliases?: readonly string[]
}

export interface EvaluationItem {
  readonly prompt: string
  readonly completion: string
  /** What the answer was to be drawn from. */
  readonly context?: string
  readonly facts?: readonly Fact[]
  /** All right answers to the prompt, a canary question. */
  readonly answers?: readonly (string | number)[]
  /** Whether people call the prompt harmful. */
  readonly promptIsHarmful?: boolean
}

export interface Finding {
  /** 0 … 1: how much speaks for the evaluator's flags. */
  readonly score: number
  readonly label: string
  /** The kind of what was flagged. */
  readonly category?: string
  readonly explanation?: string
}

/** A share with its interval, and the counts that it comes from. */
export interface MeasuredRate extends Estimate {
  readonly hits: number
  readonly n: number
}

/** An evaluator's measured error. It holds for one version. */
export interface Calibration {
  readonly evaluator: string
  readonly version: string
  readonly dataset: string
  /** SHA-256 of the labelled rows. */
  readonly data_hash?: string
  readonly n?: number
  readonly date: string
  readonly command: string
  /** Who is right when rows are held out: `cross-validation by prompt`. */
  readonly method: string
  /** Of answers that people flag, the share that the evaluator flags. */
  readonly sensitivity: MeasuredRate
  /** Of answers that people do not flag, the share that the evaluator does not. */
  readonly specificity: MeasuredRate
  /** P(a flagged answer scores above one that is not). */
  readonly auc?: Estimate
}

export interface EvaluateOptions {
  readonly signal?: AbortSignal
}

export interface Evaluator {
  readonly name: string
  /** One line for a list. */
  readonly summary: string
  /** From `versionOf`. */
  readonly version: string
  /** Labels that count: the rate is their share among flags and passes. Any other label sets an answer aside. */
  readonly flags: readonly string[]
  readonly passes: readonly string[]
  /** Fields of the item that it cannot do without. */
  readonly needs?: readonly ('context' | 'facts' | 'answers')[]
  readonly calibration?: Calibration
  /** The score from which it flags, where one number decides. */
  readonly threshold?: number
  /** Throws a PlumblineError where it cannot tell. */
  evaluate(item: EvaluationItem, options?: EvaluateOptions): Finding | Promise<Finding>
}

interface Evaluated extends Finding {
  readonly evaluator: string
  readonly version: string
  /** The calibration that holds for this version. */
  readonly calibration: string
}

interface Failed {
  readonly evaluator: string
  readonly version: string
  readonly error: { readonly code: string; readonly message: string }
}

export type Evaluation = Evaluated | Failed

/** A number for the code, raised with every change of it, and a hash of the weights, phrases and settings that decide. */
export function versionOf(revision: number, ...decides: readonly unknown[]): string {
  return `${revision}-${createHash('sha256').update(JSON.stringify(decides)).digest('hex').slice(0, 8)}`
}

/** The evaluator's calibration, or another one of it; undefined where that was measured on another version. */
export function calibrationOf(evaluator: Evaluator, given = evaluator.calibration): Calibration | undefined {
  return given?.evaluator === evaluator.name && given.version === evaluator.version ? given : undefined
}

/** How an evaluation names the calibration behind it. */
export function calibrationId(calibration: Calibration | undefined): string {
  if (calibration === undefined) return 'uncalibrated'
  const { evaluator, date, sensitivity, specificity } = calibration
  return `${evaluator}-${date}-${sensitivity.n + specificity.n}`
}

/** One answer. An evaluator that crashes is tried once more; a second crash is an error like any other. */
export async function evaluate(
  evaluator: Evaluator,
  item: EvaluationItem,
  { calibration, ...options }: EvaluateOptions & { readonly calibration?: Calibration } = {},
): Promise<Evaluation> {
  const { name, version } = evaluator
  const missing = evaluator.needs?.find((field) => item[field] === undefined)
  if (missing !== undefined) return failed('MISSING_FIELD', `${name} needs ${missing}, and this answer has none.`)
  for (let attempt = 0; ; attempt++) {
    try {
      const finding = await evaluator.evaluate(item, options)
      return {
        evaluator: name,
        version,
        ...finding,
        calibration: calibrationId(calibrationOf(evaluator, calibration)),
      }
    } catch (error) {
      options.signal?.throwIfAborted()
      if (error instanceof PlumblineError) return failed(error.code, error.message)
      if (attempt > 0) return failed('EVALUATOR_CRASHED', String(error))
    }
  }

  function failed(code: string, message: string): Failed {
    return { evaluator: name, version, error: { code, message } }
  }
}
