import { type FileHandle, mkdir, open as openFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeFrame, maxPayloadBytes, readFrames } from './frame.ts'
import {
  keepAside,
  listSegments,
  type Position,
  readPosition,
  readSegment,
  removeSegment,
  segmentPath,
  syncFolder,
  writePosition,
} from './segments.ts'

export interface SpoolOptions {
  readonly warn: (text: string) => void
  /** A segment that has grown past this is closed and the next one begun. */
  readonly segmentBytes?: number
  /** What is not on disk yet may take this much memory; past it, records are refused. */
  readonly maxPendingBytes?: number
  /** All segments together; past it, records are refused. */
  readonly maxBytes?: number
  readonly retryMs?: number
  /** Opens files for writing. A test hands one that fails. */
  readonly open?: (path: string, flags: string, mode: number) => Promise<FileHandle>
}

/** Records that are to be shipped. */
export interface Batch {
  readonly payloads: readonly Uint8Array[]
  /** They are in the store: their segments may go. */
  commit(): Promise<void>
}

export interface Spool {
  /**
   * Resolves when the record is on disk (fdatasync) or in the store. Records that come while a sync is running share the
   * next one. Rejects at once with SpoolFull when there is no room, and the record is not kept.
   */
  append(payload: Uint8Array): Promise<void>
  /** The oldest records that are not shipped, at most about `maxBytes` of them; none when all are. */
  read(maxBytes: number): Promise<Batch>
  /** Resolves when there may be something to read. */
  readable(signal: AbortSignal): Promise<void>
  state(): SpoolState
  /** Writes what is pending, waiting no longer than this for a disk that fails, and closes the files. */
  close(patienceMs: number): Promise<void>
}

export interface SpoolState {
  /** Why the disk takes nothing at the moment. */
  readonly fault: string | undefined
  readonly pendingRecords: number
  readonly pendingBytes: number
  /** On disk, not shipped. */
  readonly bytes: number
  /** Regions that were no records and were kept aside. */
  readonly damaged: number
}

export class SpoolFull extends Error {
  override readonly name = 'SpoolFull'
}

interface Pending {
  readonly payload: Uint8Array
  readonly frame: Buffer
  isDone: boolean
  resolve(): void
  reject(error: Error): void
}

interface OpenSegment {
  readonly number: number
  readonly file: FileHandle
  /** Up to here everything is synced. */
  bytes: number
}

const writeBatchBytes = 8 * 2 ** 20

/** An append-only log in a folder of its own, for one process. */
export async function openSpool(folder: string, options: SpoolOptions): Promise<Spool> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const found = await listSegments(folder)
  const position = await readPosition(folder)
  const last = Math.max(position.segment, found.at(-1)?.segment ?? 0)
  return new SegmentedSpool(
    folder,
    options,
    position,
    last,
    new Map(found.map(({ segment, bytes }) => [segment, bytes])),
  )
}

class SegmentedSpool implements Spool {
  private readonly segmentBytes: number
  private readonly maxPendingBytes: number
  private readonly maxBytes: number
  private readonly retryMs: number
  private readonly open: NonNullable<SpoolOptions['open']>
  private readonly pending: Pending[] = []
  private pendingBytes = 0
  private active: OpenSegment | undefined
  private fault: string | undefined
  private damaged = 0
  private isFlushing = false
  private isClosed = false
  private wake = new AbortController()
  private readonly folder: string
  private readonly warn: (text: string) => void
  private shipped: Position
  private lastNumber: number
  /** Synced bytes of each segment on disk. */
  private readonly sizes: Map<number, number>

  constructor(folder: string, options: SpoolOptions, shipped: Position, last: number, sizes: Map<number, number>) {
    this.folder = folder
    this.warn = options.warn
    this.segmentBytes = options.segmentBytes ?? 8 * 2 ** 20
    this.maxPendingBytes = options.maxPendingBytes ?? 64 * 2 ** 20
    this.maxBytes = options.maxBytes ?? 16 * 2 ** 30
    this.retryMs = options.retryMs ?? 500
    this.open = options.open ?? openFile
    this.shipped = shipped
    this.lastNumber = last
    this.sizes = sizes
  }

  append(payload: Uint8Array): Promise<void> {
    const size = payload.length
    if (size > maxPayloadBytes) return Promise.reject(new SpoolFull('the record is too large'))
    if (this.isClosed) return Promise.reject(new SpoolFull('the spool is closed'))
    if (this.pendingBytes + size > this.maxPendingBytes) {
      return Promise.reject(new SpoolFull(`the disk takes nothing (${this.fault ?? 'too slow'})`))
    }
    if (this.bytesOnDisk() + this.pendingBytes + size > this.maxBytes) {
      return Promise.reject(new SpoolFull('the spool has reached its size limit'))
    }
    return new Promise((resolve, reject) => {
      const frame = encodeFrame(payload)
      const copy = frame.subarray(frame.length - size)
      this.pending.push({ payload: copy, frame, isDone: false, resolve, reject })
      this.pendingBytes += size
      if (!this.isFlushing) void this.flush()
    })
  }

  /** One at a time: writes and syncs batches until nothing is pending. */
  private async flush(): Promise<void> {
    this.isFlushing = true
    // Records of the same turn of the event loop share the first write too.
    await Promise.resolve()
    while (this.pending.length > 0 && !this.isClosed) {
      const batch = takeUpTo(this.pending, writeBatchBytes)
      try {
        await this.write(batch)
        if (this.fault !== undefined) this.warn('The spool can be written again.')
        this.fault = undefined
        this.finish(batch)
      } catch (error) {
        const { message } = error as Error
        if (this.fault === undefined) this.warn(`The spool cannot be written, trying again: ${message}`)
        this.fault = (error as NodeJS.ErrnoException).code ?? message
        this.wakeReaders()
        await this.abandonSegment()
        await sleep(this.retryMs, undefined, { ref: false })
      }
    }
    this.isFlushing = false
  }

  private async write(batch: readonly Pending[]): Promise<void> {
    const segment = this.active ?? (await this.beginSegment())
    const bytes = batch.length === 1 ? batch[0].frame : Buffer.concat(batch.map(({ frame }) => frame))
    let written = 0
    while (written < bytes.length) {
      const { bytesWritten } = await segment.file.write(bytes, written, bytes.length - written, segment.bytes + written)
      written += bytesWritten
    }
    await segment.file.datasync()
    segment.bytes += bytes.length
    this.sizes.set(segment.number, segment.bytes)
    if (segment.bytes < this.segmentBytes) return
    this.active = undefined
    await segment.file.close()
  }

  private async beginSegment(): Promise<OpenSegment> {
    const number = this.lastNumber + 1
    const file = await this.open(segmentPath(this.folder, number), 'wx', 0o600)
    this.lastNumber = number
    this.active = { number, file, bytes: 0 }
    await syncFolder(this.folder)
    return this.active
  }

  /**
   * After a failed write or sync nobody knows what is on disk behind the last good sync: that part is cut off, and the
   * records, still in memory, go to a new segment.
   */
  private async abandonSegment(): Promise<void> {
    const segment = this.active
    this.active = undefined
    if (segment === undefined) return
    await segment.file.truncate(segment.bytes).catch(() => {})
    await segment.file.close().catch(() => {})
    if (segment.bytes === 0) await removeSegment(this.folder, segment.number).catch(() => {})
  }

  private finish(batch: readonly Pending[]): void {
    for (const entry of batch) {
      if (entry.isDone) continue
      entry.isDone = true
      this.pendingBytes -= entry.payload.length
      entry.resolve()
    }
    const left = this.pending.filter(({ isDone }) => !isDone)
    this.pending.splice(0, this.pending.length, ...left)
    this.wakeReaders()
  }

  async read(maxBytes: number): Promise<Batch> {
    for (;;) {
      const next = this.nextUnread()
      if (next === undefined) return this.readMemory(maxBytes)
      const bytes = await readSegment(this.folder, next.from, next.end)
      const payloads: Uint8Array[] = []
      let size = 0
      let end = 0
      for (const piece of readFrames(bytes)) {
        if (size >= maxBytes) break
        end = piece.end
        if (piece.kind === 'record') {
          payloads.push(piece.payload)
          size += piece.payload.length
        } else await this.setAside(next.from, bytes.subarray(piece.start, piece.end), piece.start)
      }
      // A file that is shorter than it was when we began: the rest is gone.
      if (bytes.length === 0) end = next.end - next.from.offset
      const position = { segment: next.from.segment, offset: next.from.offset + end }
      if (payloads.length > 0) return { payloads, commit: () => this.commit(position) }
      await this.commit(position)
    }
  }

  private async setAside(from: Position, bytes: Buffer, start: number): Promise<void> {
    const name = `${String(from.segment).padStart(12, '0')}-${from.offset + start}.damaged`
    const { path, isNew } = await keepAside(this.folder, name, bytes)
    if (!isNew) return
    this.damaged++
    this.warn(`The spool had ${bytes.length} damaged bytes, kept aside as ${path}; the records around them are whole.`)
  }

  /** The rest of the oldest segment that is not shipped to its end. */
  private nextUnread(): { from: Position; end: number } | undefined {
    const numbers = [...this.sizes.keys()].sort((a, b) => a - b)
    for (const segment of numbers) {
      const offset = segment === this.shipped.segment ? this.shipped.offset : 0
      const end = this.sizes.get(segment)!
      if (segment >= this.shipped.segment && offset < end) return { from: { segment, offset }, end }
    }
    return undefined
  }

  /** While the disk takes nothing, what is pending can still go to the store. */
  private readMemory(maxBytes: number): Batch {
    const batch = this.fault === undefined ? [] : takeUpTo(this.pending, maxBytes)
    return { payloads: batch.map(({ payload }) => payload), commit: async () => this.finish(batch) }
  }

  private async commit(end: Position): Promise<void> {
    this.shipped = end
    for (const [segment, bytes] of this.sizes) {
      const isShipped = segment < end.segment || (segment === end.segment && end.offset >= bytes)
      if (!isShipped || segment === this.active?.number) continue
      // From a disk that has become read-only it goes later.
      const isGone = await removeSegment(this.folder, segment).then(
        () => true,
        () => false,
      )
      if (isGone) this.sizes.delete(segment)
    }
    // Not synced: an older note only means that records are shipped twice. On a full disk it stays as it was.
    await writePosition(this.folder, end).catch(() => {})
  }

  async readable(signal: AbortSignal): Promise<void> {
    if (this.nextUnread() !== undefined || (this.fault !== undefined && this.pending.length > 0)) return
    const { signal: woken } = this.wake
    await sleep(2 ** 30, undefined, { signal: AbortSignal.any([signal, woken]), ref: false }).catch(() => {})
  }

  private wakeReaders(): void {
    this.wake.abort()
    this.wake = new AbortController()
  }

  private bytesOnDisk(): number {
    let sum = 0
    for (const [segment, bytes] of this.sizes) {
      if (segment > this.shipped.segment) sum += bytes
      else if (segment === this.shipped.segment) sum += Math.max(0, bytes - this.shipped.offset)
    }
    return sum
  }

  state(): SpoolState {
    const { fault, pendingBytes, damaged } = this
    return { fault, pendingRecords: this.pending.length, pendingBytes, bytes: this.bytesOnDisk(), damaged }
  }

  async close(patienceMs: number): Promise<void> {
    const until = performance.now() + patienceMs
    while (this.pending.length > 0 && performance.now() < until) await sleep(5)
    this.isClosed = true
    for (const { reject } of this.pending) reject(new SpoolFull('the spool is closed'))
    await this.active?.file.close().catch(() => {})
    this.active = undefined
    this.wakeReaders()
  }
}

function takeUpTo(pending: readonly Pending[], maxBytes: number): Pending[] {
  let size = 0
  const count = pending.findIndex(({ payload }) => {
    size += payload.length
    return size > maxBytes
  })
  return pending.slice(0, count < 0 ? pending.length : Math.max(1, count))
}
