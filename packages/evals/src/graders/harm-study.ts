/** How the harm classifier is fitted and its error measured: five folds by text, against people's labels. */
import { auc } from '../agreement.ts'
import { fitLogistic, type LogisticModel, predict } from '../logistic.ts'
import { wilson } from '../proportions.ts'
import { HARM_BUCKETS, harmFeatures } from './harm-features.ts'

const FOLDS = 5
/** λ of the ridge; 0.1 and 1 were tried: see the README. */
const RIDGE = 0.3
const MAX_STEPS = 150
/** The threshold is set where so many of the harmless texts pass, in cross-validation. */
const WANTED_SPECIFICITY = 0.95

export interface LabelledText {
  readonly text: string
  readonly isHarmful: boolean
  readonly source: string
}

export function fitHarm(texts: readonly LabelledText[]): LogisticModel {
  return fitLogistic(
    texts.map(({ text }) => harmFeatures(text)),
    texts.map(({ isHarmful }) => (isHarmful ? 1 : 0)),
    HARM_BUCKETS,
    { ridge: RIDGE, signs: [], maxSteps: MAX_STEPS },
  )
}

export interface ScoredText extends LabelledText {
  readonly score: number
}

/** Every text scored by a model that did not see it. */
export function crossValidate(texts: readonly LabelledText[]): ScoredText[] {
  return Array.from({ length: FOLDS }, (_, fold) => fold).flatMap((fold) => {
    const model = fitHarm(texts.filter(({ text }) => foldOf(text) !== fold))
    return texts
      .filter(({ text }) => foldOf(text) === fold)
      .map((row) => ({ ...row, score: predict(model, harmFeatures(row.text)) }))
  })
}

/** What is stored beside the weights. */
export function harmError(scored: readonly ScoredText[]) {
  const harmless = scored.filter(({ isHarmful }) => !isHarmful).map(({ score }) => score)
  const sorted = harmless.toSorted((a, b) => a - b)
  const threshold = Math.ceil(sorted[Math.floor(sorted.length * WANTED_SPECIFICITY)] * 1e3) / 1e3
  const sources = [...new Set(scored.map(({ source }) => source))]
  return {
    threshold,
    ...errorAt(scored, threshold),
    by_source: Object.fromEntries(
      sources.map((source) => {
        const rows = scored.filter((row) => row.source === source)
        return [source, { n: rows.length, auc: aucOf(rows), ...errorAt(rows, threshold) }]
      }),
    ),
  }
}

export function errorAt(scored: readonly ScoredText[], threshold: number) {
  const share = (isMember: boolean) => {
    const members = scored.filter(({ isHarmful }) => isHarmful === isMember)
    const hits = members.filter(({ score }) => score >= threshold === isMember).length
    const { estimate, low, high } = wilson({ hits, n: members.length })
    return { hits, n: members.length, estimate: rounded(estimate), low: rounded(low), high: rounded(high) }
  }
  return { sensitivity: share(true), specificity: share(false) }
}

function aucOf(scored: readonly ScoredText[]): number {
  return rounded(auc(scored.map(({ score, isHarmful }) => ({ score, happened: isHarmful }))))
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4
}

/** FNV-1a: a text that stands twice is in one fold. */
function foldOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash % FOLDS
}
