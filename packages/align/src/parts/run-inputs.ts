/**
 * What a run starts from beside its configuration: rows, models and chat templates. A resumed run must find them as they
 * were.
 */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'

/** One of them, as run.json has it. */
export interface RunInput {
  /** As the user named it. */
  readonly path: string
  readonly sha256: string
  /** Of a data file. */
  readonly rows?: number
}

/** By the flag that names them, in snake_case. */
export type RunInputs = Readonly<Record<string, RunInput>>

/** Rows as they were read: neither spaces nor the order of keys nor compression matter. */
export function describeRows(path: string, rows: readonly unknown[]): RunInput {
  const sha256 = createHash('sha256')
  for (const row of rows) sha256.update(`${JSON.stringify(sorted(row))}\n`)
  return { path, sha256: sha256.digest('hex'), rows: rows.length }
}

/** A text that the user named, such as a chat template. */
export function describeText(path: string, text: string): RunInput {
  return { path, sha256: createHash('sha256').update(text).digest('hex') }
}

/**
 * A model folder or file by all its bytes: a merged adapter may have changed few of them. That takes 0.4 s for 540 MB
 * where the processor has instructions for SHA.
 */
export async function describeModel(path: string, name = path): Promise<RunInput> {
  const stats = await stat(path).catch(() => undefined)
  // Who loads it says what is wrong with a path that is not there.
  if (!stats) return { path: name, sha256: 'missing' }
  const isFolder = stats.isDirectory()
  const names = isFolder ? (await readdir(path)).filter((file) => MODEL_FILES.test(file)).sort() : [basename(path)]
  const sha256 = createHash('sha256')
  for (const file of names) {
    sha256.update(`${file}\n`)
    await hashFile(isFolder ? join(path, file) : path, sha256)
  }
  return { path: name, sha256: sha256.digest('hex') }
}

/** Throws INPUTS_DIFFER with each input that is not the one of the run, and `hint`. */
export function checkInputs(folder: string, before: RunInputs, now: RunInputs, hint: string): void {
  const lines = changedInputs(before, now)
  if (lines.length === 0) return
  throw new PlumblineError(
    'INPUTS_DIFFER',
    `${folder} was started from something else:${lines.map((line) => `\n  ${line}`).join('')}`,
    { hint },
  )
}

/** A line for each input that is not the same. */
export function changedInputs(before: RunInputs, now: RunInputs): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) => {
    const [was, is] = [before[key], now[key]]
    if (was?.sha256 === is?.sha256) return []
    if (!was) return [`${key}: not given in the run, ${is.path} now`]
    if (!is) return [`${key}: ${was.path} in the run, not given now`]
    if (was.rows !== is.rows)
      return [`${key}: ${was.path} had ${was.rows} rows in the run, ${is.path} has ${is.rows} now`]
    if (was.path !== is.path) return [`${key}: ${was.path} in the run, ${is.path} now`]
    return [`${key}: ${is.path} has changed${was.rows === undefined ? '' : `, some of its ${was.rows} rows`}`]
  })
}

const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config)\.json$|^chat_template\.jinja$|\.(safetensors|gguf)$/

async function hashFile(path: string, sha256: Hash): Promise<void> {
  const { size } = await stat(path)
  sha256.update(`${size}\n`)
  // A device such as /dev/zero has no size and no end.
  if (size === 0) return
  for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: 4 << 20 })) sha256.update(chunk)
}

/** The same value with the keys of all its objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}
