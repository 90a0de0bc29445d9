import { randomUUID } from 'node:crypto'
import { open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import { PlumblineError } from '@plumbline/contracts'
import { syncFolder } from './spool/segments.ts'

/** Takes the next bytes of a file, and resolves when it can take more. */
export type Write = (bytes: string | Uint8Array) => Promise<void>

/**
 * A file that appears whole or not at all: `work` fills a sibling, which is synced and then renamed. Only its owner may
 * read it: it holds what people said. A name that ends in .gz is compressed.
 */
export async function writeFileWhole<T>(
  path: string,
  { overwrite }: { overwrite: boolean },
  work: (write: Write) => Promise<T>,
): Promise<T> {
  const target = resolve(path)
  if (!overwrite && (await stat(target).catch(() => undefined)) !== undefined) {
    throw new PlumblineError('FILE_EXISTS', `${target} exists already; nothing was written.`, {
      hint: 'Give another --output, or --overwrite.',
    })
  }
  const draft = join(dirname(target), `.${basename(target)}.draft-${randomUUID()}`)
  const file = await open(draft, 'wx', 0o600)
  try {
    const toFile: Write = async (bytes) => {
      await file.appendFile(bytes)
    }
    const result = target.endsWith('.gz') ? await compressed(toFile, work) : await work(toFile)
    await file.sync()
    await file.close()
    await rename(draft, target)
    await syncFolder(dirname(target))
    return result
  } catch (error) {
    await file.close().catch(() => {})
    await rm(draft, { force: true })
    throw error
  }
}

async function compressed<T>(toFile: Write, work: (write: Write) => Promise<T>): Promise<T> {
  const gzip = createGzip()
  const written = (async () => {
    for await (const chunk of gzip) await toFile(chunk)
  })()
  // A disk that fails ends the compressor too, which `work` then meets.
  written.catch((error: Error) => gzip.destroy(error))
  const write: Write = (bytes) =>
    new Promise((done, fail) => gzip.write(bytes, (error) => (error ? fail(error) : done())))
  try {
    const result = await work(write)
    gzip.end()
    await written
    return result
  } catch (error) {
    gzip.destroy()
    throw error
  }
}

/** No line of ours is longer: a longer one is not a file of ours, and is not read into memory. */
const maxLineBytes = 512 * 2 ** 20

/** The lines of a file of UTF-8, compressed or not. */
export async function* readLines(path: string): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of await openBytes(path)) {
    let bytes = chunk as Buffer
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      yield Buffer.concat([...parts, bytes.subarray(0, end)]).toString('utf8')
      parts = []
      size = 0
      bytes = bytes.subarray(end + 1)
    }
    parts.push(bytes)
    size += bytes.length
    if (size > maxLineBytes) throw new PlumblineError('BACKUP_FORMAT', `${path} has a line of more than 512 MB.`)
  }
  if (size > 0) yield Buffer.concat(parts).toString('utf8')
}

async function openBytes(path: string): Promise<Readable> {
  const file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0)
  const stream = file.createReadStream({ start: 0 })
  const isGzip = bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  if (!isGzip) return stream
  const gunzip = createGunzip()
  stream.on('error', (error) => gunzip.destroy(error))
  return Readable.from(unzipped(stream.pipe(gunzip), path))
}

async function* unzipped(stream: Readable, path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield chunk
  } catch (cause) {
    if (!String((cause as { code?: string }).code).startsWith('Z_')) throw cause
    throw new PlumblineError('BACKUP_BROKEN', `${path} cannot be uncompressed: ${(cause as Error).message}.`, {
      hint: 'It was damaged or cut off: take another one. Nothing was changed.',
      cause,
    })
  }
}
