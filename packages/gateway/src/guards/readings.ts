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
  for (const { start, end } of tokensOf(text)) {
    out += between(start) + text.slice(start, end)
    at = end
  }
  return out + between(text.length)
}

/**
 * The strings, keys among them, and numbers of a JSON text. They are taken from the text, as its value lacks the first of
 * two fields of one name and the last digits of a long number, and the client gets the text.
 */
function* tokensOf(json: string): Generator<{ readonly start: number; readonly end: number }> {
  const begin = /"|-?\d[-+.\deE]*/g
  for (let found = begin.exec(json); found !== null; found = begin.exec(json)) {
    let end = begin.lastIndex
    if (found[0] === '"') {
      while (end < json.length && json[end] !== '"') end += json[end] === '\\' ? 2 : 1
      end++
    }
    begin.lastIndex = end
    yield { start: found.index, end }
  }
}

/** A card's number is as readable without quotes, also as 4.111111111111111e15. */
function readingsOf(token: string): readonly string[] {
  if (token.startsWith('"')) return [JSON.parse(token) as string]
  return /[.eE]/.test(token) ? [token, String(Number(token))] : [token]
}
