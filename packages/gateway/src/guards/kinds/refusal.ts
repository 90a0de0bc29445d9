import { refusal as grader } from '@plumbline/evals'
import { z } from 'zod'
import { settingsVersion } from '../settings-version.ts'
import { defineKind } from './kind.ts'

/** Answers that turn the request down: to count them, or to give another answer in their place. */
export const refusal = defineKind({
  schema: z.strictObject({ threshold: z.number().min(0).max(1).default(0.5) }),
  modes: ['observe', 'block', 'replace'],
  layer: 1,
  sources: ['text', 'refusal'],
  build: (settings) => {
    // Complied is the grader's positive class, refused is this guard's.
    const { sensitivity, specificity, dataset, date } = grader.calibration
    return {
      version: settingsVersion(grader.version, settings),
      look: {
        by: 'whole',
        judge: (text, { prompt }) => {
          const { score, label } = grader.grade({ prompt, completion: text })
          return { score, isFlagged: score >= settings.threshold && score > 0, label }
        },
      },
      ...(settings.threshold === 0.5
        ? { calibration: { sensitivity: specificity, specificity: sensitivity, dataset, date } }
        : {}),
    }
  },
})
