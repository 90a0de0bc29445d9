import { setTimeout as sleep } from 'node:timers/promises'
import type { GuardVerdict } from '@plumbline/contracts'

/**
 * The end of an answer waits so long for guards that only observe. The record waits for them whatever they take, so with
 * slower ones it follows the answer.
 */
const patienceMs = 250
/** So many records may wait at a time; past it, the one that has waited longest goes without its verdicts. */
const mostWaiting = 1_000

interface Late {
  readonly done: Promise<void>
  /** The record is written now, without the verdicts that are missing. */
  cut(): void
}

/** Records that wait for the verdicts of their guards, with or without the answer's end. */
export class LateRecords {
  private readonly waiting = new Set<Late>()

  /** Resolves when the answer may end. `write` is given no verdicts where they did not come. */
  async write(
    verdicts: Promise<GuardVerdict[]>,
    write: (verdicts: GuardVerdict[] | undefined) => Promise<void>,
  ): Promise<void> {
    let cut = () => {}
    const isCut = new Promise<undefined>((resolve) => {
      cut = () => resolve(undefined)
    })
    const known = Promise.race([verdicts.catch(() => undefined), isCut])
    const late = { cut, done: known.then(write) }
    this.waiting.add(late)
    const forget = () => this.waiting.delete(late)
    late.done.then(forget, forget)
    if (this.waiting.size > mostWaiting) this.oldest?.cut()
    if (await comesWithin(known, patienceMs)) await late.done
  }

  /** Resolves when none waits any more. */
  async done(): Promise<void> {
    await Promise.allSettled([...this.waiting].map(({ done }) => done))
  }

  cut(): void {
    for (const late of this.waiting) late.cut()
  }

  private get oldest(): Late | undefined {
    return this.waiting.values().next().value
  }
}

/** Whether it has come by then. */
function comesWithin(coming: Promise<unknown>, ms: number): Promise<boolean> {
  return Promise.race([coming.then(() => true), sleep(ms, false, { ref: false })])
}
