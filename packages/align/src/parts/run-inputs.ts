/** What a run starts from beside its configuration: rows and models. A resumed run must find them as they were. */
import { createHash, type Hash } from 'node:crypto'
import { open, readdir, stat } from 'node:fs/promises'
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

/**
 * A model folder or file, in milliseconds: small files whole, of the weights their size and samples. Training changes
 * weights everywhere, so samples tell two models apart; times would change with every copy.
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
    await hashSamples(isFolder ? join(path, file) : path, sha256)
  }
  return { path: name, sha256: sha256.digest('hex') }
}

/** Throws INPUTS_DIFFER with each input that is not the one of the run. `hasFlag`: the user may go on all the same. */
export function checkInputs(folder: string, before: RunInputs, now: RunInputs, hasFlag: boolean): void {
  const lines = changedInputs(before, now)
  if (lines.length === 0) return
  throw new PlumblineError(
    'INPUTS_DIFFER',
    `${folder} was started from something else:${lines.map((line) => `\n  ${line}`).join('')}`,
    {
      hint: `Put it back as it was, or start a new run with another --output.${hasFlag ? ' --allow-changed-inputs goes on all the same.' : ''}`,
    },
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
    const what = was.rows === undefined ? 'its files' : `some of its ${was.rows} rows`
    return [
      was.path === is.path
        ? `${key}: ${is.path} has changed, ${what}`
        : `${key}: ${was.path} in the run, ${is.path} now`,
    ]
  })
}

const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config)\.json$|^chat_template\.jinja$|\.(safetensors|gguf)$/

const WHOLE_BYTES = 8 << 20
const SAMPLES = 32
const SAMPLE_BYTES = 16 << 10

async function hashSamples(path: string, sha256: Hash): Promise<void> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    sha256.update(`${size}\n`)
    const length = size <= WHOLE_BYTES ? size : SAMPLE_BYTES
    const count = size <= WHOLE_BYTES ? 1 : SAMPLES
    const buffer = Buffer.alloc(length)
    for (let i = 0; i < count; i++) {
      // From the first byte to the last.
      const position = count === 1 ? 0 : Math.floor(((size - length) * i) / (count - 1))
      const { bytesRead } = await file.read(buffer, 0, length, position)
      sha256.update(buffer.subarray(0, bytesRead))
    }
  } finally {
    await file.close()
  }
}

/** The same value with the keys of all its objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}
