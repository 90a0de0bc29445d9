import { setTimeout as sleep } from 'node:timers/promises'
import { type Gap, gapPayload, interactionPayload, recordFacts, type Safety, type Spool } from '@plumbline/store'
import { uuidv7 } from './ids.ts'
import type { Outcome, RequestFacts } from './outcome.ts'
import { createRecordHold } from './record-hold.ts'

/** Writes answers into the spool, and counts what it cannot write. */
export interface Recorder {
  /**
   * Resolves when the record is as safe as was asked for, or when nothing is gained by waiting longer: see
   * `createRecordHold`. Never rejects. `request` is JSON, as it came: reading and writing it again would cost more than all
   * the rest.
   */
  record(facts: RequestFacts, outcome: Outcome, request: Uint8Array | string): Promise<void>
  /** Answers whose record had no room anywhere. */
  lost(): number
  /** Answers that went out before their record was safe. */
  late(): number
  /** Records are not safe in time at the moment. */
  isBehind(): boolean
  /** Those that are counted and whose count is not in the spool yet. */
  uncountedGaps(): number
  /** Tries once more to write the count of what was lost. */
  close(): Promise<void>
  /** That count, when the spool has not taken it; from then on it is the caller's. */
  takeGap(): Gap | undefined
}

interface OpenGap {
  /** Stays the same however often it is written: one that stands in a file all the same counts once. */
  readonly record: string
  from: number
  to: number
  count: number
  reason: string
}

const gapRetryMs = 1_000

export interface RecorderOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly warn: (text: string) => void
  /** What the end of an answer waits for, and the longest that it does; 0 does not wait. */
  readonly until: Safety
  readonly patienceMs: number
}

export function createRecorder(spool: Spool, { now, warn, until, patienceMs }: RecorderOptions): Recorder {
  let lost = 0
  let gap: OpenGap | undefined
  let timer: NodeJS.Timeout | undefined
  const hold = createRecordHold(spool, { warn, patienceMs })

  const countLost = (reason: string) => {
    if (gap === undefined) warn(`An answer could not be recorded: ${reason}. Such answers are counted.`)
    lost++
    const at = now()
    // A clock that is set back begins no gap at its end.
    gap = {
      record: gap?.record ?? uuidv7(at),
      from: Math.min(gap?.from ?? at, at),
      to: Math.max(gap?.to ?? at, at),
      count: (gap?.count ?? 0) + 1,
      reason: gap?.reason ?? reason,
    }
    timer ??= setTimeout(writeGap, gapRetryMs).unref()
  }
  const takeGap = (): Gap | undefined => {
    const taken = gap
    gap = undefined
    return taken && rowOf(taken)
  }
  const writeGap = async () => {
    timer = undefined
    const written = gap
    if (written === undefined) return
    gap = undefined
    await spool.append(gapPayload(rowOf(written))).catch(() => {
      gap = { ...written, to: gap?.to ?? written.to, count: written.count + (gap?.count ?? 0) }
      timer ??= setTimeout(writeGap, gapRetryMs).unref()
    })
  }

  return {
    record: (facts, outcome, request) => {
      const write = async () => {
        const fields = `${JSON.stringify(facts).slice(0, -1)},${JSON.stringify(outcome).slice(1, -1)}`
        const payload = interactionPayload({
          record: facts.record,
          id: outcome.id,
          project: facts.project,
          createdAt: facts.created_at,
          keyId: facts.key_id,
          model: outcome.model ?? facts.request_model,
          termination: outcome.termination,
          subjects: facts.subjects,
          ...recordFacts({ config: facts.config, choices: outcome.choices, guards: outcome.guards }),
          json: [`${fields},"request":`, request, '}'],
        })
        await spool.append(payload, until)
      }
      const written = write().then(
        () => true,
        (error: Error) => {
          countLost(error.message)
          return false
        },
      )
      return hold.wait(written)
    },
    lost: () => lost,
    late: hold.late,
    isBehind: hold.isBehind,
    uncountedGaps: () => gap?.count ?? 0,
    close: async () => {
      clearTimeout(timer)
      await Promise.race([writeGap(), sleep(gapRetryMs)])
      clearTimeout(timer)
    },
    takeGap,
  }
}

function rowOf({ from, to, ...rest }: OpenGap): Gap {
  return { ...rest, from: new Date(from).toISOString(), to: new Date(to).toISOString() }
}
