import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { findJsonFault, nearest, PlumblineError } from '@plumbline/contracts'
import type { z } from 'zod'
import { alternatives, describeAllowed, fieldsOf, type Shape, shapeAt } from './fields.ts'
import { missingFile, statIfPresent } from './missing-file.ts'
import type { World } from './world.ts'

/** One row and its line in the file, counted from 1: later errors can name it. */
export interface JsonLine<Row> {
  readonly line: number
  readonly row: Row
}

export interface JsonLinesOptions {
  /** Longest line in bytes; 16 MiB. */
  readonly maxLineBytes?: number
  /** A next step for rows that have these columns and are not of the kind that is wanted. */
  readonly hintFor?: (columns: readonly string[]) => string | undefined
  /** Columns by which a row is of another kind, also when it has all that the schema wants. */
  readonly without?: readonly string[]
}

/** Text compresses about fivefold. Far more, and a lot of it, is a bomb. */
const maxGzipRatio = 200
const gzipRatioFromBytes = 64 << 20

/**
 * Streams the rows of a JSON-lines file, gzipped when it ends in `.gz`, or of stdin when the path is `-`. Columns that
 * the schema does not know are dropped, blank lines skipped. Throws `DATA_…` with file, line and column.
 */
export async function* readJsonLines<Schema extends z.ZodObject>(
  path: string,
  rowSchema: Schema,
  world: Pick<World, 'stdin' | 'cwd' | 'signal'>,
  { maxLineBytes = 16 << 20, hintFor = () => undefined, without = [] }: JsonLinesOptions = {},
): AsyncGenerator<JsonLine<z.output<Schema>>> {
  const name = dataName(path)
  let line = 0
  let rows = 0
  for await (const bytes of splitLines(await openBytes(path, world), name, maxLineBytes)) {
    world.signal.throwIfAborted()
    line++
    const text = decode(bytes, `${name}:${line}`, line === 1)
    if (text.trim() === '') continue
    rows++
    yield { line, row: parseRow(text, `${name}:${line}`, rowSchema, { hintFor, without }) }
  }
  if (rows === 0) {
    throw new PlumblineError('DATA_EMPTY', `${name}: has no rows.`, {
      hint: `One JSON object a line is expected, with the columns ${columnsOf(rowSchema)}.`,
    })
  }
}

/** How messages call a data file. */
export function dataName(path: string): string {
  return path === '-' ? 'stdin' : path
}

async function openBytes(path: string, world: Pick<World, 'stdin' | 'cwd'>): Promise<AsyncIterable<Uint8Array>> {
  if (path === '-') return world.stdin
  const file = resolve(world.cwd, path)
  if (path === '') {
    throw new PlumblineError('DATA_MISSING', 'The name of the data file is empty.', {
      hint: 'Give a .jsonl file, or - for stdin. Is a variable of the shell unset?',
    })
  }
  const found = await statIfPresent(file)
  if (found === undefined) throw await missingFile('DATA_MISSING', path, world.cwd)
  if (found.isDirectory()) {
    throw new PlumblineError('DATA_FOLDER', `${path}: is a folder.`, { hint: 'Name one .jsonl file inside it.' })
  }
  return path.endsWith('.gz') ? unzip(file, path) : createReadStream(file)
}

async function* unzip(file: string, name: string): AsyncGenerator<Uint8Array> {
  let read = 0
  let written = 0
  const count = async function* () {
    for await (const chunk of createReadStream(file) as AsyncIterable<Uint8Array>) {
      read += chunk.length
      yield chunk
    }
  }
  const gunzip = createGunzip()
  const compressed = Readable.from(count())
  compressed.on('error', (error) => gunzip.destroy(error))
  try {
    for await (const chunk of compressed.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      written += chunk.length
      if (written > gzipRatioFromBytes && written > read * maxGzipRatio) {
        throw new PlumblineError('DATA_GZIP_BOMB', `${name}: grows more than ${maxGzipRatio}-fold when unzipped.`, {
          hint: 'If the file is yours, unzip it first and give the .jsonl.',
        })
      }
      yield chunk
    }
  } catch (cause) {
    if (!isZlibError(cause)) throw cause
    throw new PlumblineError('DATA_GZIP', `${name}: not a whole gzip file: ${cause.message}.`, {
      hint: 'Fetch or compress it again.',
      cause,
    })
  } finally {
    compressed.destroy()
  }
}

function isZlibError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('Z_')
}

/** Cuts chunks at line feeds; never holds more than one line and one chunk. */
async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  maxLineBytes: number,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let line = 1
  const hold = (part: Uint8Array) => {
    heldBytes += part.length
    if (heldBytes > maxLineBytes) {
      throw new PlumblineError('DATA_LONG_LINE', `${name}:${line}: longer than ${maxLineBytes} bytes.`, {
        hint: 'JSON lines has one object a line. Is this one big JSON list, or a binary file?',
      })
    }
    held.push(part)
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      hold(chunk.subarray(from, end))
      yield Buffer.concat(held)
      held = []
      heldBytes = 0
      line++
      from = end + 1
    }
    if (from < chunk.length) hold(chunk.subarray(from))
  }
  if (heldBytes > 0) yield Buffer.concat(held)
}

const firstLineDecoder = new TextDecoder('utf-8', { fatal: true })
const lineDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Uint8Array, place: string, isFirst: boolean): string {
  try {
    // The byte order mark is Windows' way to begin a file; anywhere else it is text.
    return (isFirst ? firstLineDecoder : lineDecoder).decode(bytes)
  } catch (cause) {
    throw new PlumblineError('DATA_ENCODING', `${place}: not UTF-8 text.`, {
      hint: 'Save the file as UTF-8 (it may be UTF-16, or binary). A .gz file must be named so.',
      cause,
    })
  }
}

function parseRow<Schema extends z.ZodObject>(
  text: string,
  place: string,
  schema: Schema,
  { hintFor, without }: Required<Pick<JsonLinesOptions, 'hintFor' | 'without'>>,
): z.output<Schema> {
  const value = parseJson(text, place)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PlumblineError('DATA_ROW', `${place}: each line must be a JSON object, this one is ${kindOf(value)}.`, {
      hint: `Write {${columnsOf(schema)}: …} on each line.`,
    })
  }
  const row = value as Record<string, unknown>
  const others = without.filter((name) => Object.hasOwn(row, name)).map((name) => `"${name}"`)
  if (others.length > 0) {
    throw new PlumblineError('DATA_WRONG_KIND', `${place}: rows without ${others.join(', ')} are wanted here.`, {
      hint: hintFor(Object.keys(row)) ?? `Remove ${others.join(', ')}, or give another file.`,
    })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw wrongColumn(innermost(parsed.error.issues[0]), row, place, { schema, hint: hintFor(Object.keys(row)) })
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const { position, expected } = findJsonFault(text) ?? { position: 0, expected: 'JSON' }
    const excerpt = text.slice(Math.max(0, position - 20), position + 20).trim()
    throw new PlumblineError(
      'DATA_JSON',
      `${place}:${position + 1}: broken JSON, expected ${expected === 'the end' ? 'the end of the line' : expected} near ${JSON.stringify(excerpt)}.`,
      { hint: brokenJsonHint(text), cause },
    )
  }
}

function brokenJsonHint(text: string): string {
  if (text.includes('\0')) return 'The line has NUL bytes: it is UTF-16 or binary. Save the file as UTF-8 text.'
  if (/^\s*[[{]\s*$/.test(text))
    return 'Is this one JSON value over many lines? Write each object on a line of its own.'
  if (text.includes('\r'))
    return 'Its lines end with a carriage return alone. Save it with the line ends of Unix or Windows.'
  return 'Each line must be one whole JSON object.'
}

/** Of a column of several kinds, what is wrong inside the kind that the row has: `prompt.0.content`, not `prompt`. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue
  const inside = issue.errors.flat().find(({ path }) => path.length > 0)
  return inside === undefined ? issue : { ...inside, path: [...issue.path, ...inside.path] }
}

function wrongColumn(
  issue: z.core.$ZodIssue,
  row: Record<string, unknown>,
  place: string,
  { schema, hint }: { schema: z.ZodObject; hint: string | undefined },
) {
  const column = String(issue.path[0] ?? '')
  const field = fieldsOf(schema).find(({ name }) => name === column)
  // Of the row as a whole.
  if (field === undefined) return new PlumblineError('DATA_WRONG_KIND', `${place}: ${issue.message}.`, { hint })
  if (!Object.hasOwn(row, column)) {
    const known = new Set(Object.keys(schema.shape))
    const others = Object.keys(row).filter((name) => !known.has(name))
    const meant = nearest(column, others)
    return new PlumblineError('DATA_COLUMN_MISSING', `${place}: the column "${column}" is missing.`, {
      hint:
        meant !== undefined
          ? `Rename the column "${meant}" to "${column}".`
          : (hint ?? `Columns here: ${excerptNames(row)}.`),
    })
  }
  const where = issue.path.length > 1 ? `"${issue.path.join('.')}" in the column "${column}"` : `the column "${column}"`
  const wrong = issue.path.reduce<unknown>((whole, step) => (whole as Record<PropertyKey, unknown>)?.[step], row)
  const reason =
    issue.code === 'custom' ? issue.message : `must be ${describeAllowed(shapeAt(field.shape, issue.path.slice(1)))}`
  return new PlumblineError('DATA_COLUMN_TYPE', `${place}: ${where}: ${reason}, got ${kindOf(wrong)}.`, {
    hint: isMessages(field.shape)
      ? 'Messages are a list of at least one {"role": "user", "content": "…"}.'
      : `Mend "${column}" on that line, or remove the line.`,
  })
}

function isMessages(shape: Shape): boolean {
  return alternatives(shape).some(({ type, items }) => type === 'array' && items?.type === 'object')
}

function columnsOf(schema: z.ZodObject): string {
  return fieldsOf(schema)
    .map(({ name, isRequired }) => (isRequired ? `"${name}"` : `"${name}" (optional)`))
    .join(', ')
}

function excerptNames(row: Record<string, unknown>): string {
  const names = Object.keys(row)
    .slice(0, 12)
    .map((name) => JSON.stringify(name.slice(0, 40)))
  return names.length === 0 ? 'none' : names.join(', ')
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`
  return `the ${typeof value} ${value}`
}
