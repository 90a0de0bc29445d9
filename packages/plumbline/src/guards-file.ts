import { located } from '@plumbline/contracts'
import type { GuardSet, RewardModel } from '@plumbline/gateway'
import { readTextFile } from './text-file.ts'
import type { World } from './world.ts'
import { parseYaml } from './yaml-text.ts'

const hint = 'It is YAML: "guards:" and below it a list of guards, each with "kind" and "mode".'

/** The guards that a YAML file lists. Its keys and their order are told in the gateway's README. */
export async function readGuardsFile(
  path: string,
  { cwd, env }: World,
  rewardModel: RewardModel | undefined,
): Promise<GuardSet> {
  const text = await readTextFile(path, { code: 'USAGE_GUARDS', cwd, maxBytes: 1 << 20, hint })
  const { openGuardWorld, readGuards } = await import('@plumbline/gateway')
  return located(path, () =>
    readGuards(parseYaml(text, { code: 'USAGE_GUARDS_SYNTAX', hint }), openGuardWorld(env, rewardModel)),
  )
}
