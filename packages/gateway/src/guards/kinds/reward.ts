import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { settingsVersion } from '../settings-version.ts'
import { defineKind } from './kind.ts'

/** Answers that a reward model scores below a threshold. */
export const reward = defineKind({
  schema: z.strictObject({ model: z.string().min(1), threshold: z.number() }),
  modes: ['observe', 'block', 'replace'],
  layer: 3,
  build: (settings, { rewardModels }) => {
    const score = Object.hasOwn(rewardModels, settings.model) ? rewardModels[settings.model] : undefined
    if (score === undefined) {
      throw new PlumblineError('GUARD_REWARD_MODEL', `There is no reward model ${settings.model} here.`, {
        hint: 'A reward model is not loaded by the gateway yet: use kind http or judge.',
      })
    }
    return {
      version: settingsVersion('1', settings),
      look: {
        by: 'whole',
        judge: async (text, { prompt }) => {
          const value = await score(prompt, text)
          if (!Number.isFinite(value)) throw new Error('the reward model gave no number')
          return { isFlagged: value < settings.threshold, score: value, label: 'low_reward' }
        },
      },
    }
  },
})
