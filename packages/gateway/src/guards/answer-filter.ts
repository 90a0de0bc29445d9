import type { Choice, GuardVerdict } from '@plumbline/contracts'
import { asObject } from '../answer.ts'
import { faults, readJson } from '../request-body.ts'
import { SseReader } from '../sse.ts'
import { AnswerGate } from './answer-gate.ts'
import type { Guard, Question } from './guard.ts'
import { plainError } from './plain-error.ts'
import { chat, completions } from './shapes/chat.ts'
import { responses } from './shapes/responses.ts'
import { type Mutable, ranks, type Shape, type ShapedEvent, UnknownShape } from './shapes/shape.ts'

/** Endpoints whose answers hold text. */
export const shapes: Readonly<Record<string, Shape>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': completions,
  '/v1/responses': responses,
}

export interface FilterOptions {
  readonly shape: Shape
  readonly guards: readonly Guard[]
  readonly question: Question
  readonly isEventStream: boolean
  /** Bytes for the client. */
  readonly onBytes: (bytes: Buffer) => void
  /** The answer cannot be read, so nothing more of it goes out. `isGarbage`: nobody could, whatever was asked. */
  readonly onUnknown: (reason: string, isGarbage: boolean) => void
}

/** More of an answer is not kept back. */
const maxKeptBytes = 16 * 2 ** 20

/** Stands between an upstream's bytes and the client's: what the guards have cleared comes out. */
export class AnswerFilter {
  private readonly options: FilterOptions
  private readonly gate: AnswerGate
  private readonly sse: SseReader
  private readonly whole: Buffer[] = []
  private keptBytes = 0
  private isRead = false
  private hasEvent = false
  private isOver = false
  private resolveDrained = () => {}
  /** Why nothing more goes out, where that is so. */
  unknown: string | undefined
  /** The same for the client: nothing of the upstream's stands in it. */
  told: string | undefined

  constructor(options: FilterOptions) {
    this.options = options
    const { guards, question } = options
    this.gate = new AnswerGate(guards, { direction: 'output', ...question }, () => {
      this.keptBytes = 0
      this.resolveDrained()
    })
    this.sse = new SseReader((data, event) => {
      this.hasEvent = true
      this.attempt(() => this.readEvent(data, event))
    })
  }

  /** Whether some text of the answer was stopped. */
  get isStopped(): boolean {
    return this.gate.isStopped
  }

  push(chunk: Buffer): void {
    if (this.isOver) return
    this.keptBytes += chunk.length
    if (this.keptBytes > maxKeptBytes) this.refuse('it is too long to be kept back')
    else if (!this.options.isEventStream) this.whole.push(chunk)
    else {
      this.sse.push(chunk)
      if (this.sse.isOverflown) this.refuse('an event is too long')
    }
  }

  /** All bytes have come: what came in one piece is read, or refused, once, as is a stream without an event. */
  readEnd(): void {
    if (this.isRead) return
    this.isRead = true
    if (!this.options.isEventStream) this.attempt(() => this.readWhole())
    else if (!this.hasEvent) this.refuse('there is no event in it', { isGarbage: true })
  }

  /** Nothing more comes: resolves when all of the answer that may go out has gone out. */
  async end(): Promise<void> {
    if (this.isOver) return
    const drained = new Promise<void>((resolve) => {
      this.resolveDrained = resolve
    })
    this.gate.end()
    if (!this.gate.isIdle) await drained
    this.isOver = true
  }

  /** Nothing more goes out. */
  cut(): void {
    this.isOver = true
    this.gate.end()
  }

  /** What the guards say of what came. */
  verdicts(): Promise<GuardVerdict[]> {
    return this.gate.verdicts()
  }

  /** The answer cannot be read. `told`: what the client may know of that. */
  refuse(
    reason: string,
    { told = 'The guards of this service cannot read the answer of the upstream.', isGarbage = false } = {},
  ): void {
    if (this.isOver) return
    this.unknown = reason
    this.told = told
    this.cut()
    this.options.onUnknown(reason, isGarbage)
  }

  private attempt(work: () => void): void {
    if (this.isOver) return
    try {
      work()
    } catch (error) {
      if (error instanceof UnknownShape) this.refuse(error.message)
      else if (error instanceof SyntaxError) this.refuse('it is not JSON', { isGarbage: true })
      else throw error
    }
  }

  private readEvent(data: string, name: string): void {
    if (data === '[DONE]') {
      this.gate.push(undefined, () => this.give('data: [DONE]\n\n'))
      return
    }
    const json = parseObject(Buffer.from(data))
    if (json.type === 'error' || (json.error !== undefined && json.error !== null)) {
      this.gate.push(undefined, () => this.give(`event: error\ndata: ${JSON.stringify(plainError(json))}\n\n`))
      return
    }
    this.gate.push(this.options.shape.readEvent(json), (event, isChanged) => {
      const given = isChanged ? JSON.stringify(event?.json) : data
      const line = name === '' ? '' : `event: ${typeof json.type === 'string' ? json.type : name}\n`
      this.give(`${line}data: ${given.replaceAll('\n', '\ndata: ')}\n\n`)
    })
  }

  private readWhole(): void {
    const bytes = Buffer.concat(this.whole)
    const json = parseObject(bytes)
    if (json.error !== undefined && json.error !== null) {
      this.gate.push(undefined, () => this.give(JSON.stringify(plainError(json))))
      return
    }
    this.gate.push(this.options.shape.readWhole(json), (event: ShapedEvent | undefined, isChanged) =>
      this.give(isChanged ? JSON.stringify(event?.json) : bytes),
    )
  }

  private give(text: string | Buffer): void {
    if (!this.isOver) this.options.onBytes(typeof text === 'string' ? Buffer.from(text) : text)
  }
}

function parseObject(bytes: Buffer): Mutable {
  const { value: json, fault } = readJson(bytes)
  if (fault !== undefined) throw new UnknownShape(faults[fault])
  if (asObject(json) !== json) throw new UnknownShape('it is no JSON object')
  return json as Mutable
}

/** Lets guards that only observe look at an answer that has passed. */
export async function observeAnswer(
  choices: readonly Choice[],
  guards: readonly Guard[],
  question: Question,
): Promise<GuardVerdict[]> {
  const gate = new AnswerGate(guards, { direction: 'output', ...question }, () => {})
  const nothing = () => {}
  for (const { index: choice, text, reasoning, refusal, tool_calls } of choices) {
    const pieces = (
      [
        ['reasoning', reasoning],
        ['text', text],
        ['refusal', refusal],
      ] as const
    )
      .map(([name, content]) => ({ choice, name, source: name, rank: ranks[name], text: content, set: nothing }))
      .filter((piece) => piece.text !== '')
    const calls = tool_calls.flatMap(({ name, arguments: given }, i) => [
      { choice, name: `call ${i}`, part: 'name' as const, text: name ?? '', set: nothing },
      { choice, name: `call ${i}`, part: 'arguments' as const, text: given, set: nothing },
    ])
    const finishes = [{ choice, block: nothing }]
    const event = { json: {}, pieces, calls, finishes, dropCalls: nothing, isHollow: () => false, isPruned: false }
    gate.push(event, nothing)
  }
  gate.end()
  return gate.verdicts()
}
