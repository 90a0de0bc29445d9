/**
 * A grader's error from people's labels on answers that were drawn with known probabilities π. Each counts w = 1/π
 * (Horvitz & Thompson 1952), so a time in which fewer were drawn counts no less than others. Of the answers that people
 * flag, n of them, and alike of the others:
 *
 *   share p = Σ_right w / Σ w,   var = Σ w² (right − p)² / (Σ w)²,   n* = p (1 − p) / var, at most (Σ w)² / Σ w²
 *
 * and the interval is Clopper–Pearson's for p n* of n*, both whole numbers (Korn & Graubard 1998, Survey Methodology
 * 24:193–201; the bound is Kish's effective size, and n* where var is 0). The estimate is p itself. With one probability
 * n* is n. The labels must be of an even sample: answers that are looked at because the grader flagged them say what its flags are worth, and nothing
 * of what it misses.
 */
import { PlumblineError } from '@plumbline/contracts'
import { clopperPearson, type GraderError, type MeasuredRate, type WeightedCount } from '@plumbline/evals'

/** Answers on which people and the grader say one thing each, all drawn with one probability. */
export interface LabelledAnswers {
  /** Whether people flag them, and whether the grader does. */
  readonly isFlagged: boolean
  readonly isHit: boolean
  readonly answers: number
  readonly probability: number
}

export interface LiveCalibration {
  /** Labelled answers, and those that people flag. */
  readonly n: number
  readonly flagged: number
  /** How many evenly drawn ones these are worth, (Σ w)² / Σ w², of those that people flag and of the others. */
  readonly effective: { readonly flagged: number; readonly others: number }
  /** Undefined without a label of its kind. Counts are effective ones. */
  readonly sensitivity: MeasuredRate | undefined
  readonly specificity: MeasuredRate | undefined
  /** To be corrected with: undefined until `effective` has `ENOUGH_LABELS` of each kind. */
  readonly error: GraderError | undefined
}

/**
 * Effective labels of each kind from which a calibration is used. Below, an exact 95 % interval of a sensitivity is up to
 * 0.37 wide and one answer moves it by over 0.03: the correction would follow single labels. Counted without verdicts:
 * n* falls with each mistake of weight, and a bound on it would let in those that have none.
 */
export const ENOUGH_LABELS = 30

export function liveCalibration(labelled: readonly LabelledAnswers[]): LiveCalibration {
  const wrong = labelled.find(
    ({ answers, probability }) => !(Number.isInteger(answers) && answers >= 0 && probability > 0 && probability <= 1),
  )
  if (wrong !== undefined)
    throw new PlumblineError(
      'INVALID_VALUE',
      `${wrong.answers} answers with probability ${wrong.probability}: it must be a count, and lie between 0 and 1.`,
    )
  const total = (rows: readonly LabelledAnswers[]) => rows.reduce((sum, { answers }) => sum + answers, 0)
  const [positive, negative] = [true, false].map((truth) => labelled.filter(({ isFlagged }) => isFlagged === truth))
  const sensitivity = effective(positive, ({ isHit }) => isHit)
  const specificity = effective(negative, ({ isHit }) => !isHit)
  const worth = { flagged: evenlyDrawn(positive), others: evenlyDrawn(negative) }
  const isEnough = Math.min(worth.flagged, worth.others) >= ENOUGH_LABELS
  return {
    n: total(labelled),
    flagged: total(positive),
    effective: worth,
    sensitivity: measured(sensitivity),
    specificity: measured(specificity),
    error: isEnough ? { sensitivity, specificity } : undefined,
  }
}

function evenlyDrawn(rows: readonly LabelledAnswers[]): number {
  return wholeBelow(kishSize(rows))
}

/** (Σ w)² / Σ w². */
function kishSize(rows: readonly LabelledAnswers[]): number {
  const weights = (power: number) =>
    rows.reduce((sum, { answers, probability }) => sum + answers / probability ** power, 0)
  return rows.length === 0 ? 0 : weights(1) ** 2 / weights(2)
}

/** Down to a whole number, but not past one that rounding missed. */
function wholeBelow(size: number): number {
  return Math.floor(size + 1e-6)
}

function effective(
  rows: readonly LabelledAnswers[],
  isRight: (row: LabelledAnswers) => boolean,
): Required<WeightedCount> {
  const sum = (read: (weight: number, right: number) => number) =>
    rows.reduce((total, row) => total + row.answers * read(1 / row.probability, Number(isRight(row))), 0)
  const whole = sum((weight) => weight)
  if (whole === 0) return { hits: 0, n: 0, share: 0 }
  const share = sum((weight, right) => weight * right) / whole
  const variance = sum((weight, right) => (weight * (right - share)) ** 2) / whole ** 2
  const kish = kishSize(rows)
  const size = variance === 0 ? kish : Math.min(kish, (share * (1 - share)) / variance)
  const n = Math.max(1, wholeBelow(size))
  return { hits: Math.round(share * n), n, share }
}

function measured({ share, ...count }: Required<WeightedCount>): MeasuredRate | undefined {
  return count.n === 0 ? undefined : { ...clopperPearson(count), ...count, estimate: share }
}
