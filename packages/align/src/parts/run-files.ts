import { open, readFile, rename, rm } from 'node:fs/promises'
import { PlumblineError } from '@plumbline/contracts'

/** Writes a small file that is on the disk when this returns. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** As `writeDurably`, and the file's old content stays until the new one is whole. */
export async function replaceDurably(path: string, text: string): Promise<void> {
  const draft = `${path}.draft`
  try {
    await writeDurably(draft, text)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw error
  }
}

/** The rows of a file that we wrote; none where there is none. */
export async function readJsonLines<Row>(path: string): Promise<Row[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** Whether a write failed since the disk, or somebody's part of it, is full. */
export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')
}

/** Turns a failed write into an error for the user; any other comes back as it is. */
export function runWriteError(folder: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof PlumblineError || code === undefined) return error
  const isFull = isDiskFull(error)
  const why = isFull ? 'the disk or quota is full' : message
  return new PlumblineError('RUN_NOT_WRITABLE', `The run folder ${folder} cannot be written: ${why}.`, {
    hint: isFull
      ? 'Free some space; --resume continues from the newest checkpoint.'
      : 'Check the path and your rights to it.',
    cause: error,
  })
}
