import { setTimeout as sleep } from 'node:timers/promises'
import type { GuardVerdict } from '@plumbline/contracts'

/**
 * The end of an answer waits so long for guards that only observe. The record waits for them whatever they take, so with
 * slower ones it follows the answer.
 */
const patienceMs = 250
/** So many records may wait at a time; past it, or past their bytes, those that have waited longest go without verdicts. */
const mostWaiting = 1_000

interface Late {
  readonly done: Promise<void>
  readonly bytes: number
  /** The record is written now, without the verdicts that are missing. */
  cut(): void
}

/** Records that wait for the verdicts of their guards, with or without the answer's end. */
export class LateRecords {
  private readonly waiting = new Set<Late>()
  private readonly maxBytes: () => number
  private heldBytes = 0
  private isCut = false

  /** `maxBytes`: what all that wait may hold. */
  constructor(maxBytes: () => number) {
    this.maxBytes = maxBytes
  }

  /** Resolves when the answer may end. `write` is given no verdicts where they did not come. `bytes` are held until then. */
  async write(
    verdicts: Promise<GuardVerdict[]>,
    write: (verdicts: GuardVerdict[] | undefined) => Promise<void>,
    bytes: number,
  ): Promise<void> {
    let cut = () => {}
    const isCut = new Promise<undefined>((resolve) => {
      cut = () => resolve(undefined)
    })
    const known = Promise.race([verdicts.catch(() => undefined), isCut])
    const late = { cut, done: known.then(write), bytes }
    this.waiting.add(late)
    this.heldBytes += bytes
    const forget = () => {
      this.waiting.delete(late)
      this.heldBytes -= bytes
    }
    late.done.then(forget, forget)
    // Answers that a stop cuts come here after it.
    if (this.isCut) cut()
    this.makeRoom()
    if (await comesWithin(known, patienceMs)) await late.done
  }

  /** Resolves when none waits any more. */
  async done(): Promise<void> {
    await Promise.allSettled([...this.waiting].map(({ done }) => done))
  }

  /** From now on no record waits. */
  cut(): void {
    this.isCut = true
    for (const late of this.waiting) late.cut()
  }

  private makeRoom(): void {
    let count = this.waiting.size
    let held = this.heldBytes
    for (const late of this.waiting) {
      if (count <= mostWaiting && held <= this.maxBytes()) return
      late.cut()
      count--
      held -= late.bytes
    }
  }
}

/** Whether it has come by then. */
function comesWithin(coming: Promise<unknown>, ms: number): Promise<boolean> {
  return Promise.race([coming.then(() => true), sleep(ms, false, { ref: false })])
}
