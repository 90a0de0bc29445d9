import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { missingFile, statIfPresent } from './missing-file.ts'

export interface TextFileOptions {
  /** Codes begin with it: `USAGE_CONFIG` gives `USAGE_CONFIG_MISSING`, `…_FILE` and `…_ENCODING`. */
  readonly code: string
  readonly cwd: string
  readonly maxBytes: number
  /** What to give instead, as a sentence. */
  readonly hint: string
}

/** A small text file of the user's. Throws when it is missing, no file, too large, or not UTF-8 text. */
export async function readTextFile(path: string, { code, cwd, maxBytes, hint }: TextFileOptions): Promise<string> {
  const file = resolve(cwd, path)
  const found = path === '' ? undefined : await statIfPresent(file)
  if (path === '') throw new PlumblineError(`${code}_MISSING`, 'The name of the file is empty.', { hint })
  if (found === undefined) throw await missingFile(`${code}_MISSING`, path, cwd)
  if (!found.isFile()) {
    const what = found.isDirectory() ? 'a folder' : 'no ordinary file'
    throw new PlumblineError(`${code}_FILE`, `${path}: is ${what}.`, { hint })
  }
  const bytes = await readAtMost(file, maxBytes)
  if (bytes === undefined) {
    throw new PlumblineError(
      `${code}_FILE`,
      `${path}: has ${found.size} bytes, more than the ${maxBytes} that are read.`,
      {
        hint,
      },
    )
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (!text.includes('\0')) return text
  } catch {
    // Told below.
  }
  throw new PlumblineError(`${code}_ENCODING`, `${path}: not UTF-8 text.`, {
    hint: 'It is UTF-16, of another encoding, or binary. Save it as UTF-8.',
  })
}

/** The whole file, or undefined when there is more. */
async function readAtMost(file: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    return size > maxBytes ? undefined : await handle.readFile()
  } finally {
    await handle.close()
  }
}
