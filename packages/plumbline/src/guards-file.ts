import { located, PlumblineError } from '@plumbline/contracts'
import type { GuardSet } from '@plumbline/gateway'
import { parseDocument } from 'yaml'
import { readTextFile } from './text-file.ts'
import type { World } from './world.ts'

const hint = 'It is YAML: "guards:" and below it a list of guards, each with "kind" and "mode".'

/** The guards that a YAML file lists. Its keys and their order are told in the gateway's README. */
export async function readGuardsFile(path: string, { cwd, env }: World): Promise<GuardSet> {
  const text = await readTextFile(path, { code: 'USAGE_GUARDS', cwd, maxBytes: 1 << 20, hint })
  const { openGuardWorld, readGuards } = await import('@plumbline/gateway')
  return located(path, () => readGuards(parseYaml(text), openGuardWorld(env)))
}

function parseYaml(text: string): unknown {
  const document = parseDocument(text)
  const [broken] = document.errors
  if (broken !== undefined) {
    throw new PlumblineError('USAGE_GUARDS_SYNTAX', `not YAML: ${broken.message.split('\n')[0]}.`, { hint })
  }
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw new PlumblineError('USAGE_GUARDS_SYNTAX', 'not YAML that can be read: its aliases multiply.', { hint, cause })
  }
}
