import { writevSync } from 'node:fs'
import { type FileHandle, mkdir, open as openFile } from 'node:fs/promises'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { keepAside } from './aside.ts'
import { encodeFrame, maxPayloadBytes, type Payload, payloadBytes } from './frame.ts'
import { giveBack } from './give-back.ts'
import { type Batch, type Kept, type Loan, readBatch, type SpoolIndex, type Stretch } from './read-batch.ts'
import {
  listSegments,
  type Position,
  readPosition,
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
  readonly open?: (path: string, flags: string, mode: number) => Promise<SpoolFile>
}

/** A `FileHandle`, as far as a spool needs it. */
export interface SpoolFile extends Pick<FileHandle, 'fd' | 'writev' | 'datasync' | 'truncate' | 'close'> {
  /** As `writev`, but on this thread; by its descriptor when left out. */
  writeNow?: (pieces: readonly Buffer[], at: number) => number
}

/**
 * How safe a record is: `written`, the operating system has it, which a process that is killed does not change; `synced`,
 * it is on disk (fdatasync), which a machine without power does not change.
 */
export type Safety = 'written' | 'synced'

export interface Spool extends SpoolIndex, SpoolSource {
  /**
   * Resolves when the record is so safe, or in the store. Every record is synced in the end: those that come while a sync
   * is running are written beside it and share the next one. Rejects at once with SpoolFull when there is no room, and the
   * record is not kept.
   */
  append(payload: Payload, until?: Safety): Promise<void>
  state(): SpoolState
  /** Writes what is pending, waiting no longer than this for a disk that fails, and closes the files. */
  close(patienceMs: number): Promise<void>
}

/** Where the shipper takes its records from. */
export interface SpoolSource {
  /** See `readBatch`. */
  read(maxBytes: number, after?: Batch): Promise<Batch>
  /** Resolves when there may be something to read, or with the signal. */
  readable(signal: AbortSignal): Promise<void>
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
  readonly until: Safety
  isDone: boolean
  /** It was read from memory, by somebody who may still be at it. */
  isLent: boolean
  resolve(): void
  reject(error: Error): void
}

interface OpenSegment {
  readonly number: number
  readonly file: SpoolFile
  /** Up to here everything is written, and up to there synced. */
  written: number
  synced: number
  /** A sync failed: another one would not tell that something is not on disk. */
  isDoubtful: boolean
}

const writeBatchBytes = 8 * 2 ** 20
/** So often the writing thread is given up. */
const roundsOfTurn = 64
/** What nobody waits for is synced so long after the sync before: each costs the disk, and a thread, the same. */
const groupMs = 10
/** A sync that takes longer than this: the disk may hang, and a write with it. */
const quickMs = 100

/** An append-only log in a folder of its own. One process writes it; another may read it by its index. */
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
  /** What is not synced yet, in its order; the first `written` of it stand in the active segment. */
  private readonly pending: Pending[] = []
  private written = 0
  private pendingBytes = 0
  private onArrival = () => {}
  /** Between a failure and its end. */
  private isFailing = false
  /** Segments whose end could not be synced, each with the last record of it. */
  private readonly doubtful = new Map<number, Pending>()
  /** A sync whose end nobody has looked at, and when it began. */
  private syncing: Promise<void> | undefined
  private isSynced = false
  private syncBegan = Number.NEGATIVE_INFINITY
  private nextSync: Promise<void> | undefined
  private active: OpenSegment | undefined
  private fault: string | undefined
  private damaged = 0
  /** What could not be kept aside yet, by its name, and where it begins when it is in a segment: that one stays. */
  private readonly unkept = new Map<string, { readonly bytes: Uint8Array; readonly from: Position | undefined }>()
  private isFlushing = false
  private isClosed = false
  private readonly sleepers = new Set<() => void>()
  /** What was last lent from memory. */
  private lent: { loan: number; batch: readonly Pending[] } = { loan: 0, batch: [] }
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

  append(payload: Payload, until: Safety = 'synced'): Promise<void> {
    const size = payloadBytes(payload)
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
      this.pending.push({ payload: copy, frame, until, isDone: false, isLent: false, resolve, reject })
      this.pendingBytes += size
      this.onArrival()
      if (!this.isFlushing) void this.flush()
    })
  }

  /** One at a time: writes what comes, beside one sync of what was written before, until nothing is pending. */
  private async flush(): Promise<void> {
    this.isFlushing = true
    // Records of the same turn of the event loop share the first write too.
    await Promise.resolve()
    for (let round = 1; this.pending.length > 0 && !this.isClosed; round++) {
      // Writes of this thread alone would never let anything else have a turn.
      if (round % roundsOfTurn === 0) await nextTurn()
      try {
        await this.advance()
      } catch (error) {
        const { message } = error as Error
        if (this.fault === undefined) this.warn(`The spool cannot be written, trying again: ${message}`)
        this.fault = (error as NodeJS.ErrnoException).code ?? message
        this.isFailing = true
        this.wakeReaders()
        await this.syncing?.catch(() => {})
        this.syncing = undefined
        await this.abandonSegment()
        this.isFailing = false
        await sleep(this.retryMs, undefined, { ref: false })
      }
    }
    this.isFlushing = false
  }

  /** Writes what is not written, and sees to it that a sync is under way when one is due; else waits for what comes first. */
  private async advance(): Promise<void> {
    if (this.written < this.pending.length) await this.write()
    if (this.written === 0) return
    if (this.syncing === undefined && this.isSyncDue()) this.beginSync()
    if (this.syncing !== undefined && this.isSynced) return this.endSync()
    if (this.written < this.pending.length) return
    await Promise.race([this.syncing ?? this.untilSyncDue(), this.arrival()])
  }

  private beginSync(): void {
    this.isSynced = false
    this.syncBegan = performance.now()
    this.syncing = this.sync().finally(() => {
      this.isSynced = true
    })
    // Whether it failed is asked by `endSync`, maybe after a further write.
    this.syncing.catch(() => {})
  }

  private isSyncDue(): boolean {
    if (performance.now() - this.syncBegan >= groupMs) return true
    for (let i = 0; i < this.written; i++) if (this.pending[i].until === 'synced') return true
    return false
  }

  /** One timer for all who wait. */
  private untilSyncDue(): Promise<void> {
    this.nextSync ??= sleep(groupMs).then(() => {
      this.nextSync = undefined
    })
    return this.nextSync
  }

  /** Throws what was wrong with the last sync: another one would not tell it again. */
  private async endSync(): Promise<void> {
    const { syncing } = this
    this.syncing = undefined
    await syncing
  }

  /** Resolves when a further record has come. */
  private arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.onArrival = resolve
    })
  }

  private async write(): Promise<void> {
    if (this.active !== undefined && this.active.written >= this.segmentBytes) await this.endSegment(this.active)
    const segment = this.active ?? (await this.beginSegment())
    if (this.isClosed) return this.endSegment(segment)
    const batch = takeUpTo(this.pending.slice(this.written), writeBatchBytes)
    let left: readonly Buffer[] = batch.map(({ frame }) => frame)
    let end = segment.written
    while (left.length > 0) {
      const written = this.isQuick
        ? writeNow(segment.file, left, end)
        : (await segment.file.writev(left, end)).bytesWritten
      end += written
      left = dropBytes(left, written)
    }
    segment.written = end
    // Some may have gone to the store from memory meanwhile.
    this.written += batch.filter(({ isDone }) => !isDone).length
    for (const { until, resolve } of batch) if (until === 'written') resolve()
  }

  /**
   * Into the system's memory a record is written in microseconds, a fraction of what another thread costs. Only a disk that
   * hangs could hold this one up, and with it every answer.
   */
  private get isQuick(): boolean {
    const isBusy = this.syncing !== undefined && !this.isSynced
    return this.fault === undefined && !(isBusy && performance.now() - this.syncBegan > quickMs)
  }

  private async endSegment({ file }: OpenSegment): Promise<void> {
    await this.endSync()
    if (this.written > 0) await this.sync()
    this.active = undefined
    await file.close()
  }

  /** All that is written when it begins is synced when it ends. */
  private async sync(): Promise<void> {
    const segment = this.active
    if (segment === undefined) return
    const batch = this.pending.slice(0, this.written)
    const end = segment.written
    await segment.file.datasync().catch((error) => {
      segment.isDoubtful = true
      throw error
    })
    // What was written before a write failed says nothing of the disk as it is now.
    if (this.fault !== undefined && !this.isFailing) {
      this.warn('The spool can be written again.')
      this.fault = undefined
    }
    segment.synced = end
    this.sizes.set(segment.number, end)
    this.finish(batch)
  }

  private async beginSegment(): Promise<OpenSegment> {
    const number = this.lastNumber + 1
    const file = await this.open(segmentPath(this.folder, number), 'wx', 0o600)
    this.lastNumber = number
    this.active = { number, file, written: 0, synced: 0, isDoubtful: false }
    await syncFolder(this.folder)
    return this.active
  }

  /**
   * After a failed write what it left is cut off, and what was written before is synced. Where that fails nobody knows what
   * is on disk: those records, still in memory, go to a new segment. Until they are safe there the old one stays, as it
   * may be all that a kill leaves of them; the store drops what it gets twice.
   */
  private async abandonSegment(): Promise<void> {
    const segment = this.active
    if (segment !== undefined) {
      await segment.file.truncate(segment.written).catch(() => {})
      if (!segment.isDoubtful) await this.sync().catch(() => {})
      await segment.file.close().catch(() => {})
      const rest = this.pending.slice(0, this.written)
      // What stands in this one too need not stay in those before.
      for (const [number, last] of this.doubtful) if (last.isDone || rest.includes(last)) await this.letGo(number)
      this.sizes.set(segment.number, segment.synced)
      if (rest.length > 0) this.doubtful.set(segment.number, rest[rest.length - 1])
      else await this.letGo(segment.number)
    }
    this.active = undefined
    this.written = 0
  }

  /** A segment goes once what is synced of it is shipped: at once where nothing is. */
  private async letGo(number: number): Promise<void> {
    this.doubtful.delete(number)
    if (this.sizes.get(number) !== 0) return
    this.sizes.delete(number)
    await removeSegment(this.folder, number).catch(() => {})
  }

  /** They are synced, or in the store. They were the first that are pending, but for those that are done already. */
  private finish(batch: readonly Pending[]): void {
    for (const entry of batch) {
      if (entry.isDone) continue
      entry.isDone = true
      this.pendingBytes -= entry.payload.length
      entry.resolve()
      if (!entry.isLent) giveBack(entry.frame)
    }
    let done = 0
    while (this.pending[done]?.isDone) done++
    this.pending.splice(0, done)
    this.written = Math.max(0, this.written - done)
    this.wakeReaders()
  }

  read(maxBytes: number, after?: Batch): Promise<Batch> {
    return readBatch(this.folder, this, { maxBytes, after })
  }

  async setAside({ segment, offset }: Position, bytes: Uint8Array): Promise<void> {
    const name = `${String(segment).padStart(12, '0')}-${offset}.damaged`
    const { where, isNew } = await this.keepAside(name, bytes, { segment, offset })
    if (!isNew) return
    this.damaged++
    this.warn(`The spool had ${bytes.length} damaged bytes, ${where}; the records around them are whole.`)
  }

  async keepAside(name: string, bytes: Uint8Array, from?: Position): Promise<Kept> {
    try {
      const { path, isNew } = await keepAside(this.folder, name, bytes)
      return { where: `kept aside as ${path}`, isNew: isNew && !this.unkept.has(name) }
    } catch (error) {
      const isNew = !this.unkept.has(name)
      // Past that whoever read it waits, and tries again.
      if (isNew && this.unkeptBytes() + bytes.length > this.maxPendingBytes) throw error
      // A copy, as what was read is given back. One that came from memory may come from a segment later.
      if (isNew || from !== undefined) this.unkept.set(name, { bytes: Buffer.from(bytes), from })
      return { where: `not kept aside yet, which is tried again: ${(error as Error).message}`, isNew }
    }
  }

  /** Tries again, up to the first that fails. */
  private async keepRest(): Promise<void> {
    for (const [name, { bytes }] of this.unkept) {
      try {
        const { path } = await keepAside(this.folder, name, bytes)
        this.unkept.delete(name)
        this.warn(`Kept aside as ${path}.`)
      } catch {
        return
      }
    }
  }

  private unkeptBytes(): number {
    return [...this.unkept.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  /** The rest of the oldest segment that goes on after the place. */
  next(after = this.shipped): Stretch | undefined {
    const numbers = [...this.sizes.keys()].sort((a, b) => a - b)
    for (const segment of numbers) {
      const offset = segment === after.segment ? after.offset : 0
      const end = this.sizes.get(segment)!
      const from = { segment, offset }
      if (segment >= after.segment && offset < end) return { from, end, bytes: this.bytesOnDisk(from) }
    }
    return undefined
  }

  lend(maxBytes: number): Loan {
    // Once it is closed these are counted as lost.
    const batch = this.fault === undefined || this.isClosed ? [] : takeUpTo(this.pending, maxBytes)
    for (const entry of batch) entry.isLent = true
    const loan = this.lent.loan + 1
    this.lent = { loan, batch }
    return { loan, payloads: batch.map(({ payload }) => payload) }
  }

  async repay(loan: number): Promise<void> {
    if (loan === this.lent.loan) this.finish(this.lent.batch)
    await this.keepRest()
  }

  async commit(end: Position): Promise<void> {
    this.shipped = end
    await this.keepRest()
    const held = [...this.unkept.values()].flatMap(({ from }) => from ?? [])
    for (const [segment, bytes] of this.sizes) {
      const isShipped = segment < end.segment || (segment === end.segment && end.offset >= bytes)
      if (!isShipped || segment === this.active?.number || this.doubtful.get(segment)?.isDone === false) continue
      if (held.some((place) => place.segment === segment)) continue
      this.doubtful.delete(segment)
      // From a disk that has become read-only it goes later.
      const isGone = await removeSegment(this.folder, segment).then(
        () => true,
        () => false,
      )
      if (isGone) this.sizes.delete(segment)
    }
    // Not synced: an older note only means that records are shipped twice. On a full disk it stays as it was.
    await writePosition(this.folder, earliest([...held, end])).catch(() => {})
  }

  async readable(signal: AbortSignal): Promise<void> {
    if (this.next() !== undefined || (this.fault !== undefined && this.pending.length > 0)) return
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake)
        this.sleepers.delete(wake)
        resolve()
      }
      this.sleepers.add(wake)
      signal.addEventListener('abort', wake)
    })
  }

  private wakeReaders(): void {
    for (const wake of this.sleepers) wake()
  }

  private bytesOnDisk(after = this.shipped): number {
    let sum = 0
    for (const [segment, bytes] of this.sizes) {
      if (segment === after.segment) sum += Math.max(0, bytes - after.offset)
      else if (segment > after.segment) sum += bytes
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
    // What stands in a file is shipped after the next start.
    for (const { resolve } of this.pending.slice(0, this.written)) resolve()
    for (const { reject } of this.pending.slice(this.written)) reject(new SpoolFull('the spool is closed'))
    await this.active?.file.close().catch(() => {})
    this.active = undefined
    await this.keepRest()
    const lost = [...this.unkept.values()].filter(({ from }) => from === undefined).length
    if (lost > 0) this.warn(`${lost} records that the store refuses could not be kept aside, and are lost.`)
    this.wakeReaders()
  }
}

function earliest(places: readonly Position[]): Position {
  return places.toSorted((a, b) => a.segment - b.segment || a.offset - b.offset)[0]
}

function writeNow(file: SpoolFile, pieces: readonly Buffer[], at: number): number {
  return file.writeNow === undefined ? writevSync(file.fd, pieces, at) : file.writeNow(pieces, at)
}

/** What is left of pieces after their first `count` bytes: a write may take less than it is given. */
function dropBytes(pieces: readonly Buffer[], count: number): readonly Buffer[] {
  let end = 0
  const first = pieces.findIndex((piece) => {
    end += piece.length
    return end > count
  })
  return first < 0 ? [] : [pieces[first].subarray(count - end), ...pieces.slice(first + 1)]
}

function takeUpTo(pending: readonly Pending[], maxBytes: number): Pending[] {
  let size = 0
  const count = pending.findIndex(({ payload }) => {
    size += payload.length
    return size > maxBytes
  })
  return pending.slice(0, count < 0 ? pending.length : Math.max(1, count))
}
