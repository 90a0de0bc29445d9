import { open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

/** Names and files of a spool folder: segments `000000000001.spool`, what has been shipped, and what was kept aside. */
const pattern = /^(\d{12})\.spool$/
const cursorName = 'shipped.json'

/** A place in the spool: everything before it has been shipped. */
export interface Position {
  readonly segment: number
  readonly offset: number
}

const positionSchema = z.object({ segment: z.number().int().min(0), offset: z.number().int().min(0) })

export function segmentPath(folder: string, segment: number): string {
  return join(folder, `${String(segment).padStart(12, '0')}.spool`)
}

export async function listSegments(folder: string): Promise<{ segment: number; bytes: number }[]> {
  const numbers = (await readdir(folder)).flatMap((name) => pattern.exec(name)?.[1] ?? []).map(Number)
  const sorted = numbers.sort((a, b) => a - b)
  return Promise.all(
    sorted.map(async (segment) => ({ segment, bytes: (await stat(segmentPath(folder, segment))).size })),
  )
}

/** The bytes of a segment from an offset to `end`. */
export async function readSegment(folder: string, { segment, offset }: Position, end: number): Promise<Buffer> {
  const file = await open(segmentPath(folder, segment), 'r')
  try {
    const bytes = Buffer.alloc(Math.max(0, end - offset))
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return bytes.subarray(0, filled)
  } finally {
    await file.close()
  }
}

/** What was shipped before; without a readable note everything is shipped again, which the store notices by the ids. */
export async function readPosition(folder: string): Promise<Position> {
  try {
    return positionSchema.parse(JSON.parse(await readFile(join(folder, cursorName), 'utf8')))
  } catch {
    return { segment: 0, offset: 0 }
  }
}

export async function writePosition(folder: string, position: Position): Promise<void> {
  const path = join(folder, cursorName)
  await writeFile(`${path}.new`, JSON.stringify(position))
  await rename(`${path}.new`, path)
}

export async function removeSegment(folder: string, segment: number): Promise<void> {
  await rm(segmentPath(folder, segment), { force: true })
}

/** A new file's name is on disk only when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder; its file systems keep the order themselves.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
