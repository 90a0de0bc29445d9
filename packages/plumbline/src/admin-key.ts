import { PlumblineError } from '@plumbline/contracts'
import type { World } from './world.ts'

/** The first administrator's key, from PLUMBLINE_ADMIN_KEY; undefined where there is none. */
export function adminKeyOf({ env, log }: World): string | undefined {
  const key = env.PLUMBLINE_ADMIN_KEY
  if (key === undefined || key === '') return undefined
  const advice = 'It should be random: openssl rand -hex 32 makes one.'
  if (!/^[\x21-\x7e]{8,512}$/.test(key)) {
    throw new PlumblineError('USAGE_ADMIN_KEY', 'PLUMBLINE_ADMIN_KEY has 8 to 512 printable characters, no spaces.', {
      hint: advice,
    })
  }
  if (key.length < 24) log.warn(`PLUMBLINE_ADMIN_KEY is short enough to be guessed. ${advice}`)
  return key
}
