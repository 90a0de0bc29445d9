import type { IncomingHttpHeaders } from 'node:http'
import type { Choice, GuardVerdict } from '@plumbline/contracts'
import { AnswerFilter, observeAnswer, shapes } from './answer-filter.ts'
import type { Stop } from './choice-judge.ts'
import { type Direction, type Guard, isEnforcing, noQuestion, type Question } from './guard.ts'
import type { GuardSet } from './read-guards.ts'
import { judgeRequest } from './request-gate.ts'
import { readConversation } from './shapes/conversation.ts'
import { readRequest } from './shapes/request.ts'
import type { Mutable } from './shapes/shape.ts'

/** Why a request does not go to the model. */
export type Refused =
  | { readonly by: 'stop'; readonly stop: Stop }
  | { readonly by: 'unreadable'; readonly what: readonly string[] }

export interface Admitted {
  readonly refused: Refused | undefined
  /** In place of the request's own, where something was redacted. */
  readonly body: Buffer | undefined
}

/** The guards of one exchange: over its request, then over its answer. */
export class Guarding {
  private readonly set: GuardSet
  private readonly endpoint: string
  private question: Question = noQuestion
  private inputVerdicts: Promise<GuardVerdict[]> = Promise.resolve([])
  private isCut = false

  constructor(set: GuardSet, endpoint: string) {
    this.set = set
    this.endpoint = endpoint
  }

  async admit(json: Mutable): Promise<Admitted> {
    const guards = this.guardsFor('input')
    if (guards.length === 0) {
      this.question = { prompt: readRequest(json).prompt, conversation: readConversation(json) }
      return { refused: undefined, body: undefined }
    }
    const { stop, unreadable, isChanged, prompt, verdicts } = await judgeRequest(
      json,
      guards,
      this.set.unreadable,
      () => this.isCut,
    )
    // As the model gets it: what was redacted is not shown to guards of the answer either.
    this.question = { prompt, conversation: readConversation(json) }
    this.inputVerdicts = verdicts
    const body = isChanged ? Buffer.from(JSON.stringify(json)) : undefined
    if (stop !== undefined) return { refused: { by: 'stop', stop }, body }
    return { refused: unreadable.length > 0 ? { by: 'unreadable', what: unreadable } : undefined, body }
  }

  /** Nobody waits for `admit` any more: no further guard is asked. */
  cut(): void {
    this.isCut = true
  }

  /** What comes from the upstream unread must not reach the client. */
  get mayActOnAnswers(): boolean {
    return this.guardsFor('output').some(isEnforcing)
  }

  /** What the answer must go through; undefined where no guard may change it. One for each attempt at an answer. */
  openFilter(
    isEventStream: boolean,
    onBytes: (bytes: Buffer) => void,
    onUnknown: (reason: string, isGarbage: boolean) => void,
  ): AnswerFilter | undefined {
    if (!this.mayActOnAnswers || !Object.hasOwn(shapes, this.endpoint)) return undefined
    const guards = this.guardsFor('output')
    const shape = shapes[this.endpoint]
    return new AnswerFilter({ shape, guards, question: this.question, isEventStream, onBytes, onUnknown })
  }

  /**
   * What every guard said, when the last of them has spoken. `choices` are what the record has of the answer, `filter` is
   * what it went through.
   */
  async verdicts(choices: readonly Choice[], filter?: AnswerFilter): Promise<GuardVerdict[]> {
    const guards = this.guardsFor('output')
    const isRead = guards.length > 0 && Object.hasOwn(shapes, this.endpoint)
    const output = filter?.verdicts() ?? (isRead ? observeAnswer(choices, guards, this.question) : [])
    return [...(await this.inputVerdicts), ...(await output)]
  }

  private guardsFor(direction: Direction): readonly Guard[] {
    return this.set.guards.filter(
      ({ directions, endpoints }) =>
        directions.includes(direction) && (endpoints === undefined || endpoints.includes(this.endpoint)),
    )
  }
}

/** A filtered answer has another length, and is not encoded. */
export function filteredHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { 'content-length': _, ...rest } = headers
  return rest
}
