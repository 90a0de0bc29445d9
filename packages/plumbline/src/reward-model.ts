import type { KeptRewardModel } from '@plumbline/inference'
import { z } from 'zod'
import { pullShown } from './open-model.ts'
import type { World } from './world.ts'

export const rewardModelField = z
  .string()
  .min(1)
  .optional()
  .describe('a folder as plumb reward writes it, for guards of kind reward and for --best-of')

/** Starts the reward model in a process of its own; undefined where none is named. */
export async function startReward(name: string | undefined, world: World): Promise<KeptRewardModel | undefined> {
  if (name === undefined) return undefined
  const { path } = await pullShown(name, world)
  world.log.info(`loading ${name}`)
  const { startRewardModel } = await import('@plumbline/inference')
  return startRewardModel({ path, name: `--reward-model ${name}`, warn: world.log.warn, signal: world.signal })
}
