import type { CallPiece } from './shapes/shape.ts'

type Part = CallPiece['part']

interface Call {
  name: string
  arguments: string
  /** What the client may have of both. It is computed once: a call may come in as many pieces as it has characters. */
  given?: Readonly<Record<Part, string>>
  /** What was changed and has been given to the client. */
  readonly told: Set<Part>
}

/**
 * Calls of tools. Their pieces are put together: a name, and arguments, which are JSON as a rule, so that the guards see
 * the strings and numbers in them and no escapes; text that is no JSON they see as it is.
 */
export class CallBook {
  private readonly calls = new Map<string, Call>()

  add({ choice, name, part, text, isRepeat }: CallPiece): void {
    const key = `${choice} ${name}`
    const call = this.calls.get(key) ?? { name: '', arguments: '', told: new Set<Part>() }
    this.calls.set(key, call)
    if (isRepeat && call[part] !== '') return
    call[part] += text
  }

  /** The calls of a choice as texts, in the order of their names. */
  texts(choice: number): [string, string][] {
    return [...this.calls.entries()]
      .filter(([key]) => key.startsWith(`${choice} `))
      .map(([key, call]): [string, string] => [key.slice(key.indexOf(' ') + 1), textOf(call)])
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** What is given of a piece of a call whose choice is done: where something is redacted, all of it in the first piece. */
  given(piece: CallPiece, delivered: (name: string, from: number, to: number) => string): string {
    const call = this.calls.get(`${piece.choice} ${piece.name}`)!
    const { part, text } = piece
    call.given ??= redact(call, (from, to) => delivered(piece.name, from, to))
    const whole = call.given[part]
    if (piece.isRepeat) return whole
    if (whole === call[part] || text === '') return text
    if (call.told.has(part)) return ''
    call.told.add(part)
    return whole
  }
}

function textOf(call: Call): string {
  const lines = [call.name]
  mapReadings(call.arguments, (text) => {
    lines.push(text)
    return text
  })
  return lines.join('\n')
}

function redact(call: Call, delivered: (from: number, to: number) => string): Record<Part, string> {
  let at = 0
  const take = (line: string) => {
    const given = delivered(at, at + line.length)
    at += line.length + 1
    return given
  }
  return { name: take(call.name), arguments: mapReadings(call.arguments, take) }
}

/** Arguments in which all that can be read has gone through `map`. What that leaves alone stays as it is written. */
function mapReadings(text: string, map: (reading: string) => string): string {
  if (!isJson(text)) return map(text)
  let out = ''
  let at = 0
  for (const { start, end } of tokensOf(text)) {
    const readings = readingsOf(text.slice(start, end))
    const given = readings.map((reading) => map(reading))
    const changed = given.find((reading, i) => reading !== readings[i])
    if (changed === undefined) continue
    out += text.slice(at, start) + JSON.stringify(changed)
    at = end
  }
  return out + text.slice(at)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/**
 * The strings, keys among them, and numbers of a JSON text. They are taken from the text, as its value lacks the first of
 * two fields of one name and the last digits of a long number, and the client gets the text.
 */
function* tokensOf(json: string): Generator<{ readonly start: number; readonly end: number }> {
  const begin = /"|-?\d[-+.\deE]*/g
  for (let found = begin.exec(json); found !== null; found = begin.exec(json)) {
    const isString = found[0] === '"'
    while (isString && json[begin.lastIndex] !== '"') begin.lastIndex += json[begin.lastIndex] === '\\' ? 2 : 1
    if (isString) begin.lastIndex++
    yield { start: found.index, end: begin.lastIndex }
  }
}

/** A card's number is as readable without quotes, also as 4.111111111111111e15. */
function readingsOf(token: string): readonly string[] {
  if (token.startsWith('"')) return [JSON.parse(token) as string]
  return /[.eE]/.test(token) ? [token, String(Number(token))] : [token]
}
