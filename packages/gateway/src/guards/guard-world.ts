import type { ResolveName } from '../address.ts'
import { createPoster } from '../checked-post.ts'
import type { RewardModel } from '../reward-model.ts'
import type { GuardWorld } from './kinds/kind.ts'

/** A guard may be asked by as many requests as there are in flight. */
const connections = 1_000

/** The world that guards in service use: HTTP to where their addresses may lead, secrets out of the environment. */
export function openGuardWorld(
  env: Readonly<Record<string, string | undefined>>,
  rewardModel?: RewardModel,
  resolve?: ResolveName,
): GuardWorld {
  return {
    openEndpoint: (url, isPrivate) => {
      // Its connections end by themselves when no guard uses them any more.
      const { post } = createPoster(url, { what: 'The url of a guard', isPrivate, connections, resolve })
      return async (body, headers, signal) => {
        const { status, text } = await post(JSON.stringify(body), headers, signal)
        if (status !== 200) throw new Error(`the guard's server answered with status ${status}`)
        return JSON.parse(text)
      }
    },
    secret: (variable) => env[variable],
    rewardModel,
  }
}
