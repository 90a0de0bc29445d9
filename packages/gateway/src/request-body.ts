import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { RequestError } from './openai-error.ts'

/** Deeper nesting is nobody's request or answer, and would overflow the stack of what reads or writes it later. */
const maxDepth = 128

const inflate = promisify(gunzip)

interface BodyOptions {
  readonly takesGzip?: boolean | undefined
  /** Told of every piece that came; what it throws ends the reading. */
  readonly onBytes?: (bytes: number) => void
}

/**
 * A whole body, no longer than the cap: refused by its declared length, else as soon as it has grown past it, as sent and
 * again while it is inflated.
 */
export async function readBody(
  req: IncomingMessage,
  maxBytes: number,
  { takesGzip = false, onBytes = () => {} }: BodyOptions = {},
): Promise<Buffer> {
  const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding === 'identity') return readSent(req, maxBytes, onBytes)
  if (takesGzip && encoding === 'gzip') return inflated(await readSent(req, maxBytes, onBytes), maxBytes)
  const what = takesGzip ? 'may be encoded with gzip alone' : 'must not be encoded'
  throw new RequestError(415, 'unsupported_encoding', `The request body ${what} (content-encoding).`)
}

async function inflated(body: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await inflate(body, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw new RequestError(400, 'invalid_gzip', 'The request body is not gzip, or is cut short.')
  }
}

function tooLarge(maxBytes: number): RequestError {
  return new RequestError(413, 'request_too_large', `The request body is larger than ${maxBytes} bytes.`)
}

async function readSent(req: IncomingMessage, maxBytes: number, onBytes: (bytes: number) => void): Promise<Buffer> {
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      try {
        if (size > maxBytes) throw tooLarge(maxBytes)
        onBytes(chunk.length)
        chunks.push(chunk)
      } catch (error) {
        req.removeAllListeners('data')
        reject(error)
      }
    })
    req.on('end', () => resolve(joinChunks(chunks)))
    const gone = () => {
      // Every request closes in the end: an error with its stack for each would be a cost for nothing.
      if (req.readableEnded) return
      reject(new RequestError(400, 'incomplete_request', 'The request ended before its body did.'))
    }
    req.on('error', gone)
    req.on('close', gone)
  })
}

/** What came in one piece is not copied. */
export function joinChunks(chunks: readonly Buffer[]): Buffer {
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
}

/** The JSON object in a body. Throws what is wrong with it as a RequestError, without repeating the body. */
export function parseObject(body: Buffer): Record<string, unknown> {
  const value = parseJson(body)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new RequestError(400, 'invalid_json', 'The request body must be a JSON object.')
}

/** As `parseObject`, for any JSON. */
export function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) throw new RequestError(400, 'invalid_encoding', 'The request body is not UTF-8.')
  const { value, fault } = parsed(body)
  if (fault === undefined) return value
  throw new RequestError(400, fault, `The request body cannot be read: ${faults[fault]}.`)
}

function parsed(body: Buffer): JsonReading {
  try {
    return readJson(body)
  } catch {
    throw new RequestError(400, 'invalid_json', 'The request body is not valid JSON.')
  }
}

/** Why JSON is not read although it is JSON. */
export const faults = {
  nested_too_deep: `it is nested deeper than ${maxDepth} levels`,
  // We would read the last of them, others maybe the first: what guards and records say would be wrong.
  duplicate_field: 'an object in it has two fields of one name',
} as const

export interface JsonReading {
  /** Of two fields of one name it has the last: for who writes it anew. */
  readonly value?: unknown
  readonly fault?: keyof typeof faults
}

/** What a JSON text says, or why that is not read. Throws SyntaxError for what is no JSON. */
export function readJson(json: Buffer): JsonReading {
  const { deepest, fields } = measure(json)
  if (deepest > maxDepth) return { fault: 'nested_too_deep' }
  const value: unknown = JSON.parse(json.toString('utf8'))
  return fieldsOf(value) < fields ? { value, fault: 'duplicate_field' } : { value }
}

/** Fields of all objects in a value. */
function fieldsOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  if (Array.isArray(value)) return value.reduce((sum: number, one) => sum + fieldsOf(one), 0)
  let sum = 0
  // What JSON gives inherits no fields that are counted; a list of the values would cost five times as much.
  for (const name in value) sum += 1 + fieldsOf((value as Record<string, unknown>)[name])
  return sum
}

/** The deepest nesting of a JSON text, and how many fields its objects have, without reading it as JSON. */
function measure(json: Uint8Array): { readonly deepest: number; readonly fields: number } {
  let depth = 0
  let deepest = 0
  let fields = 0
  let isText = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]
    if (isText) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) isText = false
    } else if (byte === 0x22) isText = true
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth)
    else if (byte === 0x5d || byte === 0x7d) depth--
    else if (byte === 0x3a) fields++
  }
  return { deepest, fields }
}
