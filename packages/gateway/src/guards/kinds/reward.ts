import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { settingsVersion } from '../settings-version.ts'
import { defineKind } from './kind.ts'

/** Answers that the reward model scores below a threshold. Calls of tools have no text and are not scored. */
export const reward = defineKind({
  schema: z.strictObject({ threshold: z.number() }),
  modes: ['observe', 'block', 'replace'],
  layer: 3,
  directions: ['output'],
  sources: ['text', 'refusal'],
  // A model of this machine, beside which another may be at work.
  timeoutMs: 10_000,
  build: ({ threshold }, { rewardModel }) => {
    if (rewardModel === undefined) {
      throw new PlumblineError('GUARD_REWARD_MODEL', 'A guard of kind reward needs a reward model.', {
        hint: 'Give --reward-model with a folder as plumb reward writes it.',
      })
    }
    return {
      version: settingsVersion('1', { threshold, model: rewardModel.version }),
      isLowWorse: true,
      look: {
        by: 'whole',
        judge: async (text, { conversation }, signal) => {
          if (conversation === undefined) throw new Error('what the answer answers is not one text')
          const [score] = await rewardModel.score(conversation, [text], signal)
          if (!Number.isFinite(score)) throw new Error('the reward model gave no number')
          return { isFlagged: score < threshold, score, label: 'low_reward' }
        },
      },
    }
  },
})
