import { createHash } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { isDataError } from '../database.ts'
import { type FeedbackRow, feedbackRowSchema } from '../feedback/latest.ts'
import type { JsonText, RecordRow } from '../interactions.ts'
import type { Gap, Store } from '../store.ts'
import { type Payload, piecesOf } from './frame.ts'
import type { Batch } from './read-batch.ts'
import type { SpoolSource } from './spool.ts'

/** A payload is a line that says where the record belongs, and for an answer the record itself after it. */
const headSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('interaction'),
    record: z.uuid(),
    id: z.string(),
    project: z.string(),
    createdAt: z.iso.datetime(),
    // Spools of before have none of these.
    keyId: z.string().nullable().default(null),
    model: z.string().nullable().default(null),
    termination: z.string().nullable().default(null),
    subjects: z.array(z.string().regex(/^[\w-]+$/)).default([]),
    config: z.string().nullable().default(null),
    hasAnswer: z.boolean().nullable().default(null),
    isGuarded: z.boolean().nullable().default(null),
  }),
  z.object({
    kind: z.literal('gap'),
    record: z.uuid(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    count: z
      .number()
      .int()
      .min(1)
      .max(2 ** 31 - 1),
    reason: z.string(),
  }),
  z.object({ kind: z.literal('feedback'), row: feedbackRowSchema }),
])

/** Field by field, as copies of whole objects would take longer than their JSON. */
export function interactionPayload(row: RecordRow<Payload>): Payload {
  const head = JSON.stringify({
    kind: 'interaction',
    record: row.record,
    id: row.id,
    project: row.project,
    createdAt: row.createdAt,
    keyId: row.keyId,
    model: row.model,
    termination: row.termination,
    subjects: row.subjects,
    config: row.config,
    hasAnswer: row.hasAnswer,
    isGuarded: row.isGuarded,
  } satisfies { kind: 'interaction' } & Omit<RecordRow, 'json'>)
  return [`${head}\n`, ...piecesOf(row.json)]
}

export function gapPayload(gap: Gap): string {
  return JSON.stringify({ kind: 'gap', ...gap })
}

export function feedbackPayload(row: FeedbackRow): string {
  return JSON.stringify({ kind: 'feedback', row })
}

export interface ShipperOptions {
  readonly warn: (text: string) => void
  /** The spool's folder, for a store in another process, which reads it there. */
  readonly folder: string
  readonly batchBytes?: number
  readonly retryMs?: number
  /** The longest that records wait for more to come, under heavy traffic. */
  readonly gatherMs?: number
  /** Called whenever it is another. */
  readonly onState?: (state: ShipperState) => void
}

type ShippedInto = Pick<Store, 'insertInteractions' | 'insertGaps' | 'insertFeedback'>

/** A batch that is going into the store. */
interface Shipment {
  readonly batch: Batch
  /** Whether it is in the store, and noted in the spool; false when there was no more time. */
  readonly done: Promise<boolean>
}

const payloadsOfTurn = 32
/**
 * After a batch of so many the next one is given time to grow, as each costs a transaction and a sync. They are few: without
 * that time a batch holds only what came while the one before it was on its way.
 */
const heavyRecords = 4

export interface ShipperState {
  readonly shipped: number
  readonly refused: number
  readonly isStoreAway: boolean
}

export interface Shipper {
  state(): ShipperState
  /** Ships what there is, for no longer than this, then stops. */
  stop(patienceMs: number): Promise<void>
}

/** Carries records from the spool to the store, at least once, for ever; the store drops what it has by its id. */
export function startShipper(spool: SpoolSource, store: ShippedInto, options: ShipperOptions): Shipper {
  const { warn, batchBytes = 4 * 2 ** 20, retryMs = 500, gatherMs = 250, onState = () => {} } = options
  const stopping = new AbortController()
  let hardStop = Number.POSITIVE_INFINITY
  let state: ShipperState = { shipped: 0, refused: 0, isStoreAway: false }
  const note = (change: Partial<ShipperState>) => {
    state = { ...state, ...change }
    onState(state)
  }

  /** The end of a wait is the stop; what is tried after that holds the process until the deadline. */
  const pause = async (ms: number) => {
    const { signal } = stopping
    await sleep(ms, undefined, signal.aborted ? {} : { signal, ref: false }).catch(() => {})
  }

  const refuse = async (batch: Batch, payload: Uint8Array, reason: string) => {
    // Named by its content: a batch that is sent again brings it again.
    const name = `refused-${createHash('sha256').update(payload).digest('hex').slice(0, 32)}.json`
    const { where, isNew } = await batch.keepAside(name, payload)
    if (!isNew) return
    note({ refused: state.refused + 1 })
    warn(`The store refuses a record for good (${reason}); it is ${where}.`)
  }

  /**
   * Ships payloads of a batch; halves one that the store refuses until the one that is at fault stands alone. Answers may be
   * stored beside those of the batch before, all else comes after it, and stays in the spool when that one does.
   */
  const ship = async (batch: Batch, before: Promise<boolean>, payloads = batch.payloads): Promise<void> => {
    const rows: RecordRow<JsonText>[] = []
    const gaps: Gap[] = []
    const feedback: FeedbackRow[] = []
    for (const [i, payload] of payloads.entries()) {
      // Answers that are under way must not wait until thousands are read.
      if (i % payloadsOfTurn === payloadsOfTurn - 1) await nextTurn()
      const parsed = parsePayload(payload)
      if (parsed === undefined) await refuse(batch, payload, 'it is none of ours')
      else if ('json' in parsed) rows.push(parsed)
      else if ('actor' in parsed) feedback.push(parsed)
      else gaps.push(parsed)
    }
    try {
      await store.insertInteractions(rows)
      if (!(await before)) return
      await store.insertGaps(gaps)
      await store.insertFeedback(feedback)
      note({ shipped: state.shipped + rows.length + gaps.length + feedback.length })
    } catch (error) {
      if (!isDataError(error)) throw error
      if (payloads.length === 1) return refuse(batch, payloads[0], (error as Error).message)
      const middle = payloads.length >> 1
      await ship(batch, before, payloads.slice(0, middle))
      await ship(batch, before, payloads.slice(middle))
    }
  }

  const shipUntilDone = async (batch: Batch, before: Promise<boolean>): Promise<boolean> => {
    for (;;) {
      try {
        await ship(batch, before)
        if (!(await before)) return false
        if (state.isStoreAway) warn('The store is back.')
        if (state.isStoreAway) note({ isStoreAway: false })
        await batch.commit()
        return true
      } catch (error) {
        if (!state.isStoreAway)
          warn(`The store cannot be written, records wait in the spool: ${(error as Error).message}`)
        if (!state.isStoreAway) note({ isStoreAway: true })
        if (performance.now() >= hardStop) return false
        await pause(retryMs)
      }
    }
  }

  const gather = async (bytesAfter: number) => {
    if (bytesAfter < batchBytes && !stopping.signal.aborted) await pause(gatherMs)
  }

  const run = async () => {
    let before: Shipment | undefined
    for (;;) {
      const batch = await spool.read(batchBytes, before?.batch).catch((error: Error) => {
        warn(`The spool cannot be read, trying again: ${error.message}`)
        return undefined
      })
      if (batch !== undefined && batch.payloads.length > 0) {
        const done = shipUntilDone(batch, before?.done ?? Promise.resolve(true))
        await before?.done
        before = { batch, done }
        // So much waits that the next batch is made ready, and sent, while the store is busy with this one.
        if (batch.bytesAfter >= batchBytes && performance.now() < hardStop) continue
      }
      if ((await before?.done) === false) return
      const wasBusy = before !== undefined
      before = undefined
      if (batch === undefined) await pause(retryMs)
      // What comes from memory, as the disk takes nothing, is what answers wait for.
      else if (batch.end !== undefined && batch.payloads.length >= heavyRecords) await gather(batch.bytesAfter)
      if (performance.now() >= hardStop) return
      // A look past a batch that is on its way sees neither memory nor what came since.
      if (batch === undefined || wasBusy) continue
      if (stopping.signal.aborted) return
      await spool.readable(stopping.signal)
    }
  }
  const running = run()

  return {
    state: () => state,
    stop: async (patienceMs) => {
      hardStop = performance.now() + patienceMs
      stopping.abort()
      await running
    },
  }
}

function parsePayload(payload: Uint8Array): RecordRow<JsonText> | Gap | FeedbackRow | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const lineEnd = bytes.indexOf(10)
  try {
    const head = headSchema.parse(JSON.parse(bytes.toString('utf8', 0, lineEnd < 0 ? bytes.length : lineEnd)))
    const { kind, ...rest } = head
    if (head.kind === 'feedback') return head.row
    if (head.kind === 'gap') return rest as Gap
    return { ...(rest as Omit<RecordRow, 'json'>), json: bytes.subarray(lineEnd + 1) }
  } catch {
    return undefined
  }
}
