import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PlumblineError, reason } from '@plumbline/contracts'
import { diskError, formatBytes } from './disk.ts'
import { type Checksum, FileHash } from './file-hash.ts'
import { type OnProgress, throwIfAborted } from './pull-events.ts'

export interface DownloadRequest {
  url: string
  /** Where the complete file goes. While it grows it is called `<target>.<start of the checksum>.part`. */
  target: string
  /** Name for messages. */
  file: string
  bytes: number
  checksum: Checksum
}

export interface DownloadOptions {
  fetch: typeof fetch
  signal?: AbortSignal | undefined
  onProgress?: OnProgress | undefined
  /** No byte for so long counts as a cut. */
  stallMs: number
}

/** An answer with a status that brings no bytes. */
export class HttpStatus extends Error {
  override readonly name = 'HttpStatus'
  readonly status: number

  constructor(status: number) {
    super(`HTTP status ${status}`)
    this.status = status
  }
}

/**
 * Fetches one file, continuing a partial one with a Range request; a server that sends the whole file instead makes it
 * start again. Returns the sha256 of the complete file. The part's name holds the checksum, so a part of another
 * version is never continued, and the whole is checked at the end.
 *
 * Errors: NETWORK_CUT (the part is kept), CHECKSUM_MISMATCH (the part is deleted), DISK_FULL, ABORTED, and HttpStatus.
 * A failure before the first byte is thrown as it came.
 */
export async function downloadFile(request: DownloadRequest, options: DownloadOptions): Promise<string> {
  const { target, file, bytes, checksum } = request
  const ready = await verified(target, bytes, checksum, options.signal)
  if (ready) return ready
  const part = partPath(target, checksum)
  await mkdir(dirname(target), { recursive: true })
  let have = (await stat(part).catch(() => undefined))?.size ?? 0
  if (have > bytes) have = 0
  const hash = new FileHash(bytes)
  await hash.updateFromFile(part, have, options.signal)
  options.onProgress?.({ kind: 'start', file, bytes: have, totalBytes: bytes })
  const finished = have < bytes || bytes === 0 ? await receive(request, options, part, have, hash) : hash
  const { sha256, matches } = finished.finish(checksum)
  if (!matches) {
    await rm(part, { force: true })
    throw mismatch(file, checksum)
  }
  await rename(part, target)
  options.onProgress?.({ kind: 'done', file, bytes, totalBytes: bytes })
  return sha256
}

const partPath = (target: string, { hex }: Checksum) => `${target}.${hex.slice(0, 12)}.part`

/** How much of a file lies on the disk already, complete or in part: space that is not needed again. */
export async function bytesPresent(target: string, file: { bytes: number; checksum: Checksum }): Promise<number> {
  const found =
    (await stat(target).catch(() => undefined)) ?? (await stat(partPath(target, file.checksum)).catch(() => undefined))
  return Math.min(found?.size ?? 0, file.bytes)
}

/** The sha256 of a file that is already there and right. */
async function verified(
  path: string,
  bytes: number,
  checksum: Checksum,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if ((await stat(path).catch(() => undefined))?.size !== bytes) return undefined
  const hash = new FileHash(bytes)
  await hash.updateFromFile(path, bytes, signal)
  const { sha256, matches } = hash.finish(checksum)
  return matches ? sha256 : undefined
}

async function receive(
  request: DownloadRequest,
  options: DownloadOptions,
  part: string,
  resumedAt: number,
  resumedHash: FileHash,
): Promise<FileHash> {
  const { url, file, bytes, target } = request
  const { fetch, signal, onProgress, stallMs } = options
  const stall = new AbortController()
  const timer = setTimeout(() => stall.abort(new Error(`no data for ${stallMs / 1000} s`)), stallMs)
  const both = signal ? AbortSignal.any([signal, stall.signal]) : stall.signal
  let have = resumedAt
  let hasAnswer = false
  let handle: FileHandle | undefined
  try {
    // Without `identity` a server may send gzip, whose byte ranges are not the file's.
    const headers = { 'accept-encoding': 'identity', ...(have > 0 && { range: `bytes=${have}-` }) }
    const response = await fetch(url, { headers, signal: both })
    if (response.status === 416 && have > 0) {
      // "No such range": this server cannot continue here, so take the file from its start.
      await response.body?.cancel()
      have = 0
      return await receive(request, options, part, 0, new FileHash(bytes))
    }
    if (!response.ok) throw new HttpStatus(response.status)
    hasAnswer = true
    const continues = response.status === 206 && contentStart(response) === have
    const hash = continues ? resumedHash : new FileHash(bytes)
    if (!continues) have = 0
    handle = await open(part, continues ? 'r+' : 'w')
    for await (const chunk of response.body ?? []) {
      timer.refresh()
      if (have + chunk.length > bytes) throw tooLong(file, bytes)
      await writeAll(handle, chunk, have)
      hash.update(chunk)
      have += chunk.length
      onProgress?.({ kind: 'progress', file, bytes: have, totalBytes: bytes })
    }
    if (have < bytes) throw new Error('the connection closed early')
    await handle.sync()
    return hash
  } catch (error) {
    throwIfAborted(signal, file)
    const wrong = await diskError(error, dirname(target), bytes - have)
    if (wrong instanceof PlumblineError) {
      if (wrong.code === 'CHECKSUM_MISMATCH') await rm(part, { force: true })
      throw wrong
    }
    if (have === 0 || !hasAnswer) throw stall.signal.aborted ? stall.signal.reason : error
    throw cut(file, have, bytes, stall.signal.aborted ? stall.signal.reason : error)
  } finally {
    clearTimeout(timer)
    await handle?.close()
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    // A full disk may take part of a chunk before it refuses.
    written += (await handle.write(chunk, written, chunk.length - written, position + written)).bytesWritten
  }
}

/** First byte of a 206 answer, from `content-range: bytes 100-199/200`. */
function contentStart(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN)
}

function cut(file: string, have: number, bytes: number, cause: unknown): PlumblineError {
  return new PlumblineError(
    'NETWORK_CUT',
    `${file}: the download stopped at ${formatBytes(have)} of ${formatBytes(bytes)} (${reason(cause)}). This part is kept.`,
    { hint: 'The same command continues where it stopped.', cause },
  )
}

/** CHECKSUM_MISMATCH for a file whose bytes are not the expected ones. */
export function mismatch(file: string, { kind, hex }: Checksum): PlumblineError {
  return new PlumblineError(
    'CHECKSUM_MISMATCH',
    `${file}: what arrived does not have the ${kind} ${hex}. It was deleted.`,
    {
      hint: 'Run the same command again. If it fails again, a proxy or mirror on the way changes the file.',
    },
  )
}

function tooLong(file: string, bytes: number): PlumblineError {
  const message = `${file}: the server sends more than the ${bytes} bytes that it announced. What arrived was deleted.`
  return new PlumblineError('CHECKSUM_MISMATCH', message, { hint: 'Check HF_ENDPOINT: is it the hub, or a mirror?' })
}
