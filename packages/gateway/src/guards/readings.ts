/**
 * What guards see of a text that is JSON as a rule, such as the arguments of a call: its strings, names of fields among
 * them, and numbers, a line each, so that no escape hides a word. A text that is no JSON they see as it is.
 */
export function readingsIn(text: string): string[] {
  const readings: string[] = []
  mapReadings(text, (reading) => {
    readings.push(reading)
    return reading
  })
  return readings
}

/** What guards leave of a stretch of a text. */
export type Delivered = (from: number, to: number) => string

/** Gives what is left of each line of a text, asked for one after the other. */
export function lineByLine(delivered: Delivered): (line: string) => string {
  let at = 0
  return (line) => {
    const given = delivered(at, at + line.length)
    at += line.length + 1
    return given
  }
}

/** The text with its readings gone through `map`. What that leaves alone stays as it is written. */
export function mapReadings(text: string, map: (reading: string) => string): string {
  if (!isJson(text)) return map(text)
  let out = ''
  let at = 0
  forEachToken(text, (token, start, end) => {
    const changed = mapToken(token, map)
    if (changed === undefined) return
    out += text.slice(at, start) + JSON.stringify(changed)
    at = end
  })
  return out + text.slice(at)
}

function isJson(text: string): boolean {
  return parses(text) || (pythonNumber.test(text) && parses(withoutPythonNumbers(text)))
}

function parses(json: string): boolean {
  try {
    JSON.parse(json)
    return true
  } catch {
    return false
  }
}

/** Python reads these numbers in JSON too: with one of them the escapes beside it would hide what they say. */
const pythonNumber = /-?(?:NaN|Infinity)/

function withoutPythonNumbers(text: string): string {
  let out = ''
  let at = 0
  const between = (to: number) => text.slice(at, to).replaceAll(new RegExp(pythonNumber, 'g'), '0')
  forEachToken(text, (token, start, end) => {
    out += between(start) + token
    at = end
  })
  return out + between(text.length)
}

/**
 * The strings, keys among them, and numbers of a JSON text. They are taken from the text, as its value lacks the first of
 * two fields of one name and the last digits of a long number, and the client gets the text. There may be millions.
 */
function forEachToken(json: string, take: (token: string, start: number, end: number) => void): void {
  for (let at = 0; at < json.length; ) {
    const start = at
    if (json[at] === '"') {
      at++
      while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1
      at++
    } else if (isDigit(json, at) || (json[at] === '-' && isDigit(json, at + 1))) {
      do at++
      while (at < json.length && isNumeric(json.charCodeAt(at)))
    } else {
      at++
      continue
    }
    take(json.slice(start, at), start, at)
  }
}

const isDigit = (text: string, at: number) => isInside(text.charCodeAt(at), digits)
const digits = { from: 0x30, to: 0x39 }
const isInside = (code: number, { from, to }: typeof digits) => code >= from && code <= to
const numeric = new Set(Array.from('-+.eE', (sign) => sign.charCodeAt(0)))
const isNumeric = (code: number) => isInside(code, digits) || numeric.has(code)

/** What one of its readings becomes, undefined where none changes. */
function mapToken(token: string, map: (reading: string) => string): string | undefined {
  if (token[0] === '"') {
    const reading = token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1)
    const given = map(reading)
    return given === reading ? undefined : given
  }
  const given = map(token)
  // A card's number is as readable without quotes, also as 4.111111111111111e15.
  const plain = /[.eE]/.test(token) ? String(Number(token)) : undefined
  const givenPlain = plain && map(plain)
  if (given !== token) return given
  return givenPlain === plain ? undefined : givenPlain
}
