import { harm as classifier } from '@plumbline/evals'
import { z } from 'zod'
import { settingsVersion } from '../settings-version.ts'
import { defineKind, lookBy, windowSchema } from './kind.ts'

/** Hate, sex, violence, self-harm, insults: the classifier of the package evals. */
export const harm = defineKind({
  schema: z.strictObject({
    threshold: z.number().min(0).max(1).default(classifier.threshold),
    window: windowSchema.default(600),
  }),
  modes: ['observe', 'block', 'replace'],
  layer: 1,
  build: (settings) => {
    const isMeasured = settings.threshold === classifier.threshold
    return {
      version: settingsVersion(classifier.version, settings),
      look: lookBy(settings.window, (text) => {
        const score = classifier.score(text)
        return { score, isFlagged: score >= settings.threshold, label: 'harm' }
      }),
      // What was measured holds for its own threshold alone.
      ...(isMeasured ? { calibration: classifier.calibration } : {}),
    }
  },
})
