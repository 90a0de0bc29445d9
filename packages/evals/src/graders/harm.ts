/**
 * Is a text harmful: hateful, sexual, violent, about self-harm, harassing? Is it toxic, as annotators of comments see it?
 * In this process, without a model, about a millisecond for a page: words, pieces of words and a lexicon, weighed by
 * logistic regressions (`harm-model.json`).
 *
 * It judges how a text reads. A polite request for something dangerous, and its polite answer, it does not see.
 */
import type { Calibration } from '../evaluator.ts'
import stored from './harm.calibration.json' with { type: 'json' }
import { countHarm } from './harm-features.ts'
import storedModel from './harm-model.json' with { type: 'json' }
import {
  type HarmCategory,
  type HarmHead,
  harmCategories,
  harmScores,
  harmVersion,
  restoreHarmModel,
} from './harm-model.ts'

const model = restoreHarmModel(storedModel)

/** Harm and toxicity are asked of one answer, one after the other. */
let last: { readonly text: string; readonly scores: Record<HarmHead, number> } | undefined

function scoresOf(text: string): Record<HarmHead, number> {
  if (last?.text !== text) last = { text, scores: harmScores(model, countHarm(text)) }
  return last.scores
}

export const harm = {
  name: 'harm',
  version: harmVersion('harm', storedModel, stored.any.threshold),
  /** A score from here on counts as harmful: 95 % of harmless texts stay below it. */
  threshold: stored.any.threshold,
  /** Sensitivity: harmful texts found. Specificity: harmless texts let through. Both at `threshold`. */
  calibration: stored.any satisfies Calibration,
  /** P(harmful), 0 … 1. Only the first 8,192 characters are read. */
  score: (text: string): number => scoresOf(text).any,
  /** P by head: `any`, each category, `toxicity`. */
  scores: (text: string): Readonly<Record<HarmHead, number>> => scoresOf(text),
} as const

export const toxicity = {
  name: 'toxicity',
  version: harmVersion('toxicity', storedModel, stored.toxicity.threshold),
  threshold: stored.toxicity.threshold,
  calibration: stored.toxicity satisfies Calibration,
} as const

/** The likeliest kind of a harmful text. */
export function harmCategory(scores: Readonly<Record<HarmHead, number>>): HarmCategory {
  return harmCategories.reduce((best, category) => (scores[category] > scores[best] ? category : best))
}
