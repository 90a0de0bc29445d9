/**
 * Is a text harmful: hateful, sexual, violent, about self-harm, insulting? In this process, without a model, well under
 * a millisecond for a page: hashed words and pieces of words, weighed by a logistic regression (`harm-model.json`).
 *
 * It judges how a text reads. A polite request for something dangerous, and its polite answer, it does not see.
 */
import type { Calibration } from '../grader.ts'
import { predict } from '../logistic.ts'
import storedCalibration from './harm.calibration.json' with { type: 'json' }
import { harmFeatures } from './harm-features.ts'
import storedModel from './harm-model.json' with { type: 'json' }
import { restoreHarmModel } from './harm-model.ts'

const model = restoreHarmModel(storedModel)

export const harm = {
  name: 'harm',
  version: storedCalibration.version,
  /** A score from here on counts as harmful: 95 % of harmless texts stay below it. */
  threshold: storedCalibration.threshold,
  /** Sensitivity: harmful texts found. Specificity: harmless texts let through. Both at `threshold`. */
  calibration: storedCalibration satisfies Calibration,
  /** P(harmful), 0 … 1. Only the first 8,192 characters are read. */
  score: (text: string): number => predict(model, harmFeatures(text)),
} as const
