import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '@plumbline/store'
import type { Recorder } from './recorder.ts'

const patienceMs = 5_000

/** What the spool had no room for until it was closed is counted in the store, or at least told. */
export async function noteLastGap(
  recorder: Pick<Recorder, 'takeGap'>,
  store: Pick<Store, 'insertGaps'>,
  warn: (text: string) => void,
): Promise<void> {
  // Those that the spool refused when it was closed are counted by then.
  await nextTurn()
  const gap = recorder.takeGap()
  if (gap === undefined) return
  const noted = store.insertGaps([gap]).then(
    () => true,
    () => false,
  )
  const isNoted = await Promise.race([noted, sleep(patienceMs, false, { ref: false })])
  const where = isNoted ? 'That is noted in the store.' : 'The store could not note that.'
  warn(`${gap.count} answers from ${gap.from} to ${gap.to} are not recorded (${gap.reason}). ${where}`)
}
