import { readFrames } from './frame.ts'
import { giveBack } from './give-back.ts'
import { type Position, readSegment } from './segments.ts'

/** What a spool tells of its records, for whoever reads its files: that may be another process. */
export interface SpoolIndex {
  /** The oldest bytes that are synced and not shipped, or those that come after a place; none when there are none. */
  next(after?: Position): Later<Stretch | undefined>
  /** While the disk takes nothing: the oldest records that are pending, at most about `maxBytes` of them. One loan at a time. */
  lend(maxBytes: number): Later<Loan>
  /** They are in the store. */
  repay(loan: number): Later<void>
  /** What comes before a place is in the store: those segments may go. */
  commit(end: Position): Later<void>
  /** Keeps bytes that are no record, and counts them. */
  setAside(from: Position, bytes: Uint8Array): Later<void>
  /** Keeps bytes under a name; until that has gone well, also the segment at `from`, where they come from one. */
  keepAside(name: string, bytes: Uint8Array, from?: Position): Later<Kept>
}

type Later<T> = T | Promise<T>

/** Bytes of one segment. */
export interface Stretch {
  readonly from: Position
  readonly end: number
  /** On disk from there on, over all segments. */
  readonly bytes: number
}

export interface Kept {
  /** Where it is, or why it is not there yet. */
  readonly where: string
  readonly isNew: boolean
}

export interface Loan {
  readonly loan: number
  readonly payloads: readonly Uint8Array[]
}

/** Records that are to be shipped. */
export interface Batch {
  readonly payloads: readonly Uint8Array[]
  /** Where it ends; undefined for one that comes from memory, and when there was nothing. */
  readonly end: Position | undefined
  /** On disk after it, when it was read. */
  readonly bytesAfter: number
  /** Keeps one of them that the store refuses, under a name. */
  keepAside(name: string, payload: Uint8Array): Promise<Kept>
  /** They are in the store, and so are those before: their segments may go, and the memory of the payloads. */
  commit(): Promise<void>
}

/**
 * The oldest records that are not shipped, at most about `maxBytes` of them; none when all are. With `after`, those that
 * come after a batch that is still on its way. `folder` is the spool's.
 */
export async function readBatch(
  folder: string,
  index: SpoolIndex,
  { maxBytes, after }: { maxBytes: number; after?: Batch | undefined },
): Promise<Batch> {
  const nothing = batchOf(index, { payloads: [], bytesAfter: 0, commit: async () => {} })
  if (after !== undefined && after.end === undefined) return nothing
  for (let position = after?.end; ; ) {
    const next = await index.next(position)
    if (next === undefined) return after === undefined ? readMemory(index, maxBytes) : nothing
    const { from } = next
    const bytes = await readSegment(folder, from, next.end)
    const payloads: Uint8Array[] = []
    let size = 0
    let end = 0
    for (const piece of readFrames(bytes)) {
      if (size >= maxBytes) break
      end = piece.end
      if (piece.kind === 'record') {
        payloads.push(piece.payload)
        size += piece.payload.length
      } else {
        const start = { segment: from.segment, offset: from.offset + piece.start }
        await index.setAside(start, bytes.subarray(piece.start, piece.end))
      }
    }
    // A file that is shorter than it was when we began: the rest is gone.
    if (bytes.length === 0) end = next.end - from.offset
    const place = { segment: from.segment, offset: from.offset + end }
    if (payloads.length > 0) {
      const commit = async () => {
        await index.commit(place)
        giveBack(bytes)
      }
      return batchOf(index, { payloads, from, end: place, bytesAfter: next.bytes - end, commit })
    }
    // Only damage, which is kept aside.
    if (after === undefined) await index.commit(place)
    position = place
  }
}

async function readMemory(index: SpoolIndex, maxBytes: number): Promise<Batch> {
  const { loan, payloads } = await index.lend(maxBytes)
  return batchOf(index, { payloads, bytesAfter: 0, commit: async () => index.repay(loan) })
}

function batchOf(
  index: SpoolIndex,
  { from, end, ...rest }: Pick<Batch, 'payloads' | 'bytesAfter' | 'commit'> & { from?: Position; end?: Position },
): Batch {
  return { ...rest, end, keepAside: async (name, payload) => index.keepAside(name, payload, from) }
}
