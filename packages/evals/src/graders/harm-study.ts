/** How the harm classifier is fitted and its error measured: five folds by text, against people's labels. */
import { aucInterval } from '../agreement.ts'
import { errorOf, fourDecimals } from '../calibrate.ts'
import { fitLogistic } from '../logistic.ts'
import type { LabelledText } from './harm-data.ts'
import { countHarm, HARM_FEATURES, type HarmCounts, harmFeatures, learnIdf } from './harm-features.ts'
import { type HarmHead, type HarmModel, harmHeads, harmScores, mapHeads } from './harm-model.ts'

const FOLDS = 5
/** λ of the ridge; see the README for what else was tried. */
const RIDGE = 0.5
const MAX_STEPS = 120
/** A threshold is set where so many of the harmless texts pass, in cross-validation. */
const WANTED_SPECIFICITY = 0.95

interface CountedText extends LabelledText {
  readonly counts: HarmCounts
}

export interface ScoredText {
  readonly head: HarmHead
  readonly score: number
  readonly happened: boolean
}

export function countTexts(texts: readonly LabelledText[]): CountedText[] {
  return texts.map((text) => ({ ...text, counts: countHarm(text.text) }))
}

export function fitHarm(texts: readonly CountedText[]): HarmModel {
  const idf = learnIdf(texts.map(({ counts }) => counts))
  const rows = texts.map(({ counts, labels }) => ({ labels, features: harmFeatures(counts, idf) }))
  return {
    idf,
    heads: mapHeads((head) => {
      const rated = rows.filter(({ labels }) => labels[head] !== undefined)
      return fitLogistic(
        rated.map(({ features }) => features),
        rated.map(({ labels }) => (labels[head] ? 1 : 0)),
        HARM_FEATURES,
        { ridge: RIDGE, signs: [], maxSteps: MAX_STEPS },
      )
    }),
  }
}

/** Every label beside the score of a model that did not see the text. */
export function crossValidate(texts: readonly CountedText[], say: (line: string) => void): ScoredText[] {
  return Array.from({ length: FOLDS }, (_, fold) => fold).flatMap((fold) => {
    const model = fitHarm(texts.filter(({ text }) => foldOf(text) !== fold))
    say(`fold ${fold + 1} of ${FOLDS}`)
    return texts
      .filter(({ text }) => foldOf(text) === fold)
      .flatMap(({ counts, labels }) => {
        const scores = harmScores(model, counts)
        return harmHeads.flatMap((head) => {
          const happened = labels[head]
          return happened === undefined ? [] : [{ head, happened, score: scores[head] }]
        })
      })
  })
}

/** Error of each head, at the threshold that is stored with it. */
export function harmErrors(scored: readonly ScoredText[]) {
  return mapHeads((head) => {
    const rows = scored.filter((row) => row.head === head)
    const harmless = rows.filter(({ happened }) => !happened).map(({ score }) => score)
    const sorted = harmless.toSorted((a, b) => a - b)
    const threshold = Math.ceil(sorted[Math.floor(sorted.length * WANTED_SPECIFICITY)] * 1e3) / 1e3
    return {
      threshold,
      n: rows.length,
      ...errorOf(rows.map(({ happened, score }) => ({ happened, isHit: score >= threshold }))),
      auc: fourDecimals(aucInterval(rows)),
    }
  })
}

/** FNV-1a: a text that stands twice is in one fold. */
function foldOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash % FOLDS
}
