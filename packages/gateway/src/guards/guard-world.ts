import { request } from 'undici'
import { readCapped } from '../capped-body.ts'
import type { RewardModel } from '../reward-model.ts'
import type { GuardWorld } from './kinds/kind.ts'

/** A guard's answer is short; more is not read. */
const maxReplyBytes = 2 ** 20

/** The world that guards in service use: HTTP by undici, secrets out of the environment. */
export function openGuardWorld(
  env: Readonly<Record<string, string | undefined>>,
  rewardModel?: RewardModel,
): GuardWorld {
  return {
    postJson: async (url, body, headers, signal) => {
      const reply = await request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        signal,
      })
      if (reply.statusCode !== 200) {
        await reply.body.dump()
        throw new Error(`the guard's server answered with status ${reply.statusCode}`)
      }
      return JSON.parse(
        await readCapped(reply.body, maxReplyBytes, 'the guard’s server answered with more than a megabyte'),
      )
    },
    secret: (variable) => env[variable],
    rewardModel,
  }
}
