import { RequestError } from '@plumbline/gateway'
import { type Payload, type Spool, SpoolFull } from '@plumbline/store'

const patienceMs = 10_000

/** Resolves when all of it is on disk: only then may it be acknowledged. Throws a RequestError (503) when it is not. */
export async function keepDurably(spool: Spool, payloads: readonly Payload[]): Promise<void> {
  const written = Promise.all(payloads.map((payload) => spool.append(payload)))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, patienceMs, 'late').unref()
  })
  try {
    if ((await Promise.race([written, late])) !== 'late') return
  } catch (error) {
    if (!(error instanceof SpoolFull)) throw error
  } finally {
    clearTimeout(timer)
    // What is written after all is told from a second try by its id.
    written.catch(() => {})
  }
  throw new RequestError(503, 'not_recorded', 'The disk does not take feedback now; send it again later.', {
    headers: { 'retry-after': '5' },
  })
}
