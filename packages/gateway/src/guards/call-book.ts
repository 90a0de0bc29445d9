import { type Delivered, lineByLine, mapReadings, readingsIn } from './readings.ts'
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

/** Calls of tools. Their pieces are put together: a name, and arguments, of which the guards see the readings. */
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
  return [call.name, ...readingsIn(call.arguments)].join('\n')
}

function redact(call: Call, delivered: Delivered): Record<Part, string> {
  const take = lineByLine(delivered)
  return { name: take(call.name), arguments: mapReadings(call.arguments, take) }
}
