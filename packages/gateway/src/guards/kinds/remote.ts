import { PlumblineError } from '@plumbline/contracts'
import type { GuardWorld } from './kind.ts'

export function endpointUrl(base: string, path: string): string {
  return `${base.replace(/\/+$/, '')}${path}`
}

/** The bearer key, out of the environment; a name that is set to nothing is a fault of the configuration. */
export function secretHeader(variable: string | undefined, world: GuardWorld): Readonly<Record<string, string>> {
  if (variable === undefined) return {}
  const secret = world.secret(variable)
  if (secret === undefined || secret === '') {
    throw new PlumblineError('GUARD_KEY', `The environment variable ${variable} is not set.`, {
      hint: 'Set it to the key of the guard’s server, or take key_env out.',
    })
  }
  return { authorization: `Bearer ${secret}` }
}
