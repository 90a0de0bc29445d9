import type { CallPiece } from './shapes/shape.ts'

interface Call {
  name: string
  arguments: string
  /** Its arguments have been given to the client. */
  isGiven: boolean
}

/**
 * Calls of tools. Their pieces are put together: a name, and arguments, which are JSON as a rule, so that the guards see
 * the strings in them and no escapes; text that is no JSON they see as it is.
 */
export class CallBook {
  private readonly calls = new Map<string, Call>()

  add({ choice, name, part, text, isRepeat }: CallPiece): void {
    const key = `${choice} ${name}`
    const call = this.calls.get(key) ?? { name: '', arguments: '', isGiven: false }
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

  /** What is given of a piece: all arguments in the first of them, changed where a span in them is redacted. */
  given(piece: CallPiece, delivered: (name: string, from: number, to: number) => string): string {
    const call = this.calls.get(`${piece.choice} ${piece.name}`)!
    if (piece.part === 'name') return delivered(piece.name, 0, call.name.length)
    const text = textOf(call)
    if (delivered(piece.name, 0, text.length) === text && !piece.isRepeat) return piece.text
    if (!piece.isRepeat) {
      if (call.isGiven) return ''
      call.isGiven = true
    }
    return redactArguments(call, (from, to) => delivered(piece.name, from, to))
  }
}

function textOf(call: Call): string {
  const { leaves } = readLeaves(call.arguments)
  return [call.name, ...leaves].join('\n')
}

function readLeaves(text: string): { leaves: string[]; json?: unknown } {
  try {
    const json: unknown = JSON.parse(text)
    const leaves: string[] = []
    mapStrings(json, (leaf) => {
      leaves.push(leaf)
      return leaf
    })
    return { leaves, json }
  } catch {
    return { leaves: [text] }
  }
}

function redactArguments(call: Call, delivered: (from: number, to: number) => string): string {
  const { json, leaves } = readLeaves(call.arguments)
  let at = call.name.length + 1
  const take = (leaf: string) => {
    const given = delivered(at, at + leaf.length)
    at += leaf.length + 1
    return given
  }
  if (json === undefined) return take(leaves[0])
  const before = JSON.stringify(json)
  const after = JSON.stringify(mapStrings(json, take))
  return after === before ? call.arguments : after
}

/** The same value with every string in it, keys and values, put through `map`, in one fixed order. */
function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (typeof value === 'number') return mapNumber(value, map)
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [map(key), mapStrings(item, map)]))
}

/** A card's number is as readable without quotes. */
function mapNumber(value: number, map: (text: string) => string): unknown {
  const text = String(value)
  const given = map(text)
  return given === text ? value : given
}
