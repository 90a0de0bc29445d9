import { readFile, stat } from 'node:fs/promises'
import { findJsonFault, PlumblineError } from '@plumbline/contracts'

export type JsonObject = Record<string, unknown>

/** Whether a parsed JSON value is an object, not an array and not null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// Tokenizers of large vocabularies reach 35 MB.
const MAX_BYTES = 256 << 20

const FETCH_AGAIN = 'Download or copy the file again.'

/** The text of a small file, or undefined when there is none. Throws FILE_TOO_LARGE past 256 MB. */
export async function readTextFile(path: string): Promise<string | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats?.isFile()) return undefined
  if (stats.size > MAX_BYTES) {
    throw new PlumblineError('FILE_TOO_LARGE', `${path} has ${stats.size} bytes; at most ${MAX_BYTES} are read.`, {
      hint: `No sound file of this name is so large. ${FETCH_AGAIN}`,
    })
  }
  return readFile(path, 'utf8')
}

/** The object in a JSON file, or undefined when there is no such file. Throws JSON_BROKEN with the line. */
export async function readJsonObject(path: string): Promise<JsonObject | undefined> {
  const text = await readTextFile(path)
  if (text === undefined) return undefined
  if (text.trim() === '') throw new PlumblineError('FILE_EMPTY', `${path} is empty.`, { hint: FETCH_AGAIN })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const { position, expected } = findJsonFault(text) ?? { position: 0, expected: 'JSON' }
    const line = text.slice(0, position).split('\n').length
    throw new PlumblineError('JSON_BROKEN', `${path} is not valid JSON: line ${line}, expected ${expected}.`, {
      hint: FETCH_AGAIN,
      cause,
    })
  }
  if (!isJsonObject(value)) {
    throw new PlumblineError('JSON_BROKEN', `${path} holds no JSON object at its top level.`, { hint: FETCH_AGAIN })
  }
  return value
}

/** A key that some object in the text names twice, or undefined. `json` must be valid JSON. `JSON.parse` keeps the last silently. */
export function findDuplicateKey(json: string): string | undefined {
  const scopes: Set<string>[] = []
  for (let at = 0; at < json.length; at++) {
    const char = json[at]
    if (char === '{') scopes.push(new Set())
    else if (char === '}') scopes.pop()
    else if (char === '"') {
      const start = at++
      for (; json[at] !== '"'; at++) if (json[at] === '\\') at++
      let next = at + 1
      while (json[next] === ' ' || json[next] === '\n' || json[next] === '\r' || json[next] === '\t') next++
      if (json[next] !== ':') continue
      const key = JSON.parse(json.slice(start, at + 1)) as string
      const scope = scopes[scopes.length - 1]
      if (scope.has(key)) return key
      scope.add(key)
    }
  }
  return undefined
}
