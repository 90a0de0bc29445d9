import type { Spool } from '@plumbline/store'

/** Lets the ends of answers wait for their records, as long as that makes sense. */
export interface RecordHold {
  /** Resolves when `safe` has, or when the answer must go on without. `safe` says whether the record is. */
  wait(safe: Promise<boolean>): Promise<void>
  /** Answers that went on before their record was safe. */
  late(): number
  /** The last wait that ended ran out. */
  isBehind(): boolean
}

/** While the disk fails or hangs: what it does not take may reach the store from memory within this. */
const briefMs = 250
const checkEveryMs = 50

interface Waiting {
  readonly since: number
  goOn(): void
}

/**
 * A wait ends after `patienceMs`. Once one has run out, the others are brief until a record is safe again: a disk that
 * hangs for minutes costs the first answers their patience, and not every answer.
 */
export function createRecordHold(
  spool: Pick<Spool, 'state'>,
  { warn, patienceMs }: { warn: (text: string) => void; patienceMs: number },
): RecordHold {
  /** The longest waiting first. */
  const queue = new Set<Waiting>()
  let late = 0
  let lateBefore = 0
  let isBehind = false
  let timer: NodeJS.Timeout | undefined

  const fallBehind = () => {
    if (!isBehind) {
      warn(
        'Records reach the disk too slowly: answers go out before theirs, which a kill would lose. plumbline_records_late_total counts them.',
      )
    }
    isBehind = true
  }
  const catchUp = () => {
    // A record that reached the store from memory says nothing of a disk that takes none.
    if (!isBehind || spool.state().fault !== undefined) return
    isBehind = false
    warn(`Records reach the disk again; ${late - lateBefore} answers went out before theirs.`)
    lateBefore = late
  }
  const check = () => {
    timer = undefined
    const isBrief = isBehind || spool.state().fault !== undefined
    const limit = isBrief ? Math.min(patienceMs, briefMs) : patienceMs
    const now = performance.now()
    for (const waiting of queue) {
      if (now - waiting.since < limit) break
      queue.delete(waiting)
      late++
      fallBehind()
      waiting.goOn()
    }
    watch()
  }
  // One clock for all: a timer for each of a thousand answers a second would outlive its answer by far.
  const watch = () => {
    if (queue.size > 0 && timer === undefined) timer = setTimeout(check, checkEveryMs).unref()
  }

  return {
    wait: (safe) => {
      if (patienceMs === 0) return Promise.resolve()
      return new Promise((goOn) => {
        const waiting = { since: performance.now(), goOn }
        queue.add(waiting)
        watch()
        void safe.then((isSafe) => {
          queue.delete(waiting)
          if (isSafe) catchUp()
          goOn()
        })
      })
    },
    late: () => late,
    isBehind: () => isBehind,
  }
}
