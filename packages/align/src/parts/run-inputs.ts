/**
 * What a run starts from beside its configuration: rows, models and chat templates. A resumed run must find them as they
 * were.
 */
import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import { hashModel } from '@plumbline/models'

/** One of them, as run.json has it. */
export interface RunInput {
  /** As the user named it; a model of the main job by where it lies. */
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

/** A model folder or file by all its bytes. */
export async function describeModel(path: string, name = path): Promise<RunInput> {
  // Who loads it says what is wrong with a path that is not there.
  return { path: name, sha256: (await hashModel(path)) ?? 'missing' }
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
    return [`${key}: ${is.path} changed${was.rows === undefined ? '' : `, some of the ${was.rows} rows`}`]
  })
}

/** The same value with the keys of all its objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}
