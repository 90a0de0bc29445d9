/** An evaluator's error, measured against people's labels. */
import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import { aucInterval, type Forecast } from './agreement.ts'
import { type Calibration, type EvaluationItem, type Evaluator, evaluate, type MeasuredRate } from './evaluator.ts'
import { wilson } from './proportions.ts'

/** An answer and whether people flag it. */
export interface LabelledItem {
  readonly item: EvaluationItem
  readonly isFlagged: boolean
}

interface CalibrateOptions extends Pick<Calibration, 'dataset' | 'date' | 'command' | 'method'> {
  readonly signal?: AbortSignal
}

/** Rows that end in an error or are set aside are counted in neither rate. */
export interface CalibrationRun {
  readonly calibration: Calibration
  readonly errors: number
  readonly setAside: number
}

/** Throws ONE_CLASS where people gave every answer the same label. */
export async function calibrate(
  evaluator: Evaluator,
  rows: readonly LabelledItem[],
  { signal, ...facts }: CalibrateOptions,
): Promise<CalibrationRun> {
  checkClasses(rows.map(({ isFlagged }) => isFlagged))
  const judged: (Forecast & { readonly isHit: boolean })[] = []
  let errors = 0
  let setAside = 0
  for (const { item, isFlagged } of rows) {
    const evaluation = await evaluate(evaluator, item, { signal })
    if ('error' in evaluation) errors++
    else if (evaluator.flags.includes(evaluation.label))
      judged.push({ score: evaluation.score, happened: isFlagged, isHit: true })
    else if (evaluator.passes.includes(evaluation.label))
      judged.push({ score: evaluation.score, happened: isFlagged, isHit: false })
    else setAside++
  }
  checkClasses(
    judged.map(({ happened }) => happened),
    `${errors} rows end in an error and ${setAside} are set aside; of the rest `,
  )
  const measured = { ...errorOf(judged), auc: fourDecimals(aucInterval(judged)) }
  return {
    calibration: {
      evaluator: evaluator.name,
      version: evaluator.version,
      ...facts,
      data_hash: hashOf(rows),
      n: judged.length,
      ...measured,
    },
    errors,
    setAside,
  }
}

/** Sensitivity and specificity of calls beside the truth. */
export function errorOf(
  judged: readonly { readonly happened: boolean; readonly isHit: boolean }[],
): Pick<Calibration, 'sensitivity' | 'specificity'> {
  const share = (truth: boolean): MeasuredRate => {
    const members = judged.filter(({ happened }) => happened === truth)
    const hits = members.filter(({ isHit }) => isHit === truth).length
    return { hits, n: members.length, ...fourDecimals(wilson({ hits, n: members.length })) }
  }
  return { sensitivity: share(true), specificity: share(false) }
}

/** SHA-256 of rows as JSON. */
export function hashOf(rows: readonly unknown[]): string {
  const hash = createHash('sha256')
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`)
  return hash.digest('hex')
}

function checkClasses(flags: readonly boolean[], before = ''): void {
  const flagged = flags.filter(Boolean).length
  if (flagged > 0 && flagged < flags.length) return
  throw new PlumblineError(
    'ONE_CLASS',
    `${before}${flagged === 0 ? 'none' : 'all'} of ${flags.length} labels flag the answer: one of sensitivity and specificity cannot be measured.`,
    { hint: 'Label answers of both kinds; a few dozen of each give an interval worth having.' },
  )
}

export function fourDecimals<T extends { readonly estimate: number; readonly low: number; readonly high: number }>({
  estimate,
  low,
  high,
}: T) {
  const four = (value: number) => Math.round(value * 1e4) / 1e4
  return { estimate: four(estimate), low: four(low), high: four(high) }
}
