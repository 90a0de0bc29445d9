import type { IncomingHttpHeaders } from 'node:http'
import type { BestOfNote, Termination } from '@plumbline/contracts'
import { asArray, asObject, createAnswer, type Json } from './answer.ts'
import type { Refusal } from './attempt.ts'
import { chatEvents } from './canned-answer.ts'
import { endpoints } from './endpoints.ts'
import type { PursuitListener } from './pursuit.ts'
import { readJson } from './request-body.ts'
import type { Conversation, RewardModel } from './reward-model.ts'

export interface BestOfOptions {
  /** Answers that the upstream is asked for. */
  readonly candidates: number
  /** After which the first of them is given, unscored. */
  readonly timeoutMs: number
  readonly rewardModel: RewardModel
}

/** Of one chat. */
export interface BestOfRequest extends BestOfOptions {
  readonly conversation: Conversation
  /** How the client wants the answer; the upstream is asked for it in one piece. */
  readonly isStream: boolean
  readonly withUsage: boolean
}

export interface BestOfListener extends PursuitListener {
  /** The upstream has given all candidates: what follows is our own work. */
  onCandidates(): void
}

/** More of an upstream's answer is not kept back. */
const maxBytes = 16 * 2 ** 20

/** Whether several answers to a chat can be asked for and compared by their texts; others are sent on as they are. */
export function canCompare(path: string, json: Json): boolean {
  const isAbsent = (key: string) => json[key] === undefined || json[key] === null || asArray(json[key]).length === 0
  return (
    path === '/v1/chat/completions' &&
    (json.n === undefined || json.n === null || json.n === 1) &&
    json.logprobs !== true &&
    // All answers would be the same.
    json.temperature !== 0 &&
    ['audio', 'prediction'].every((key) => json[key] === undefined || json[key] === null) &&
    ['tools', 'functions'].every((key) => isAbsent(key) && !Object.keys(asObject(json[key])).length) &&
    asArray(json.modalities).every((modality) => modality === 'text')
  )
}

/** The request for all candidates at once, so that whatever limits, retries or cancels it does so to all of them. */
export function candidatesBody(json: Json, candidates: number): Buffer {
  const { stream: _stream, stream_options: _options, ...rest } = json
  return Buffer.from(JSON.stringify({ ...rest, n: candidates }))
}

/** Stands between the upstream and an exchange: keeps the candidates, and lets the best through as if it alone had come. */
export class BestOf implements PursuitListener {
  private readonly request: BestOfRequest
  private readonly listener: BestOfListener
  private readonly stopping = new AbortController()
  private head: { readonly status: number; readonly headers: IncomingHttpHeaders } | undefined
  private chunks: Buffer[] = []
  private bytes = 0
  /** How the answer was chosen. */
  note: BestOfNote | undefined
  /** Of all candidates. */
  usage: unknown

  constructor(request: BestOfRequest, listener: BestOfListener) {
    this.request = request
    this.listener = listener
  }

  /** Nobody waits for an answer any more. */
  stop(): void {
    this.stopping.abort(new Error('nobody waits'))
  }

  mayAskAgain(): boolean {
    return this.listener.mayAskAgain()
  }

  onAsk(): void {
    this.forget()
    this.listener.onAsk()
  }

  onWait(): void {
    this.forget()
    this.listener.onWait()
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.head = { status, headers }
  }

  onData(chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.bytes <= maxBytes) this.chunks.push(chunk)
    else this.onBreak('upstream_invalid')
  }

  onEnd(): void {
    const body = Buffer.concat(this.chunks)
    const { status, headers } = this.head!
    this.forget()
    const answer = parseAnswer(body)
    if (answer === undefined) this.give(status, headers, body)
    else {
      this.choose(answer)
        .then((given) => this.give(status, givenHeaders(headers, given), given.body))
        .catch(() => this.onBreak('upstream_invalid'))
    }
  }

  onRefusal(refusal: Refusal): void {
    this.listener.onRefusal(refusal)
  }

  onBreak(termination: Termination): void {
    this.forget()
    this.listener.onBreak(termination)
  }

  private forget(): void {
    this.head = undefined
    this.chunks = []
    this.bytes = 0
  }

  private give(status: number, headers: IncomingHttpHeaders, body: Buffer): void {
    if (this.stopping.signal.aborted) return
    this.listener.onHead(status, headers)
    this.listener.onData(body)
    this.listener.onEnd()
  }

  private async choose(answer: Json): Promise<Given> {
    this.usage = answer.usage
    this.listener.onCandidates()
    const { candidates: asked } = this.request
    const candidates = choicesOf(answer).slice(0, asked)
    const known = { asked, candidates: candidates.length, characters: charactersOf(answer) }
    // What the record of a client says that goes away meanwhile.
    this.note = { ...known, rewards: [], chosen: 0, ms: 0, error: 'it ended before the rewards came' }
    const started = performance.now()
    const { rewards, error } = await this.score(candidates.map(textOf))
    // Of equal ones the first; without rewards too.
    const chosen = Math.max(0, rewards.indexOf(Math.max(...rewards)))
    const ms = Math.round((performance.now() - started) * 1000) / 1000
    this.note = { ...known, rewards, chosen, ms, error }
    return this.write(answer, { ...candidates[chosen], index: 0 })
  }

  private async score(texts: readonly string[]): Promise<{ rewards: number[]; error: string | null }> {
    if (texts.length === 1) return { rewards: [], error: null }
    const { rewardModel, conversation, timeoutMs } = this.request
    const late = AbortSignal.timeout(timeoutMs)
    try {
      const signal = AbortSignal.any([this.stopping.signal, late])
      const rewards = await rewardModel.score(conversation, texts, signal)
      if (rewards.length === texts.length && rewards.every(Number.isFinite)) return { rewards, error: null }
      return { rewards: [], error: 'the reward model gave no number' }
    } catch (error) {
      const reason = late.aborted ? `no rewards within ${timeoutMs} ms` : (error as Error).message
      return { rewards: [], error: reason.slice(0, 200) }
    }
  }

  private write(answer: Json, choice: Json): Given {
    const { isStream, withUsage } = this.request
    if (!isStream) {
      return { type: 'application/json', body: Buffer.from(JSON.stringify({ ...answer, choices: [choice] })) }
    }
    const { choices: _choices, usage = null, object: _object, ...head } = answer
    const stream = { head, message: asObject(choice.message), finishReason: choice.finish_reason ?? null }
    const events = chatEvents({ ...stream, usage: withUsage ? usage : undefined })
    return { type: 'text/event-stream; charset=utf-8', body: Buffer.from(events.join('')) }
  }
}

interface Given {
  readonly type: string
  readonly body: Buffer
}

function givenHeaders(upstream: IncomingHttpHeaders, { type, body }: Given): IncomingHttpHeaders {
  const { 'content-length': _, ...rest } = upstream
  const isStream = type !== 'application/json'
  const own = isStream ? { 'cache-control': 'no-cache' } : { 'content-length': String(body.length) }
  return { ...rest, 'content-type': type, ...own }
}

/** Undefined for what is no answer with choices: it is judged as any upstream's answer is. */
function parseAnswer(body: Buffer): Json | undefined {
  try {
    // Fields that come twice are no fault here: what is given is written anew, with the last of them, which was scored.
    const json = asObject(readJson(body).value)
    const isError = json.error !== undefined && json.error !== null
    return choicesOf(json).length > 0 && !isError ? json : undefined
  } catch {
    return undefined
  }
}

function choicesOf(answer: Json): Json[] {
  const hasMessage = ({ message }: Json) => typeof message === 'object' && message !== null && !Array.isArray(message)
  return asArray(answer.choices).map(asObject).filter(hasMessage)
}

function charactersOf(answer: Json): number {
  const read = createAnswer()
  endpoints['/v1/chat/completions'].readWhole(read, answer)
  return read.size
}

function textOf({ message }: Json): string {
  const { content, refusal } = asObject(message)
  const text = Array.isArray(content) ? content.map((part) => asObject(part).text).join('') : content
  return [text, refusal].filter((part) => typeof part === 'string').join('\n')
}
