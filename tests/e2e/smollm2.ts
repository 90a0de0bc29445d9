import { plumblineHome, pullModel } from '@plumbline/models'

/** Path of the real model, pulled into the cache by the project's own code when it is not there yet. */
export async function smollm2Path(): Promise<string> {
  const { path } = await pullModel('smollm2-135m-instruct', { home: plumblineHome(process.env), now: Date.now })
  return path
}
