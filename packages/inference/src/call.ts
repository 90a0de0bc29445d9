import type { LanguageModel, SequenceOptions } from '@plumbline/models'

/** What the process serves. */
export interface ServedModel extends Pick<LanguageModel, 'tokenizer' | 'stopTokenIds' | 'config'> {
  /** What requests call it. */
  readonly name: string
  /** Most tokens of a prompt and its answer together. */
  readonly contextLength: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** One token of an answer as it is given out. */
export interface Piece {
  readonly tokenId: number
  readonly logprob: number
  readonly alternatives: readonly { readonly tokenId: number; readonly logprob: number }[]
  /** Where its text begins in the answer. */
  readonly start: number
}

/** One answer of a call, as far as it has come. */
export interface Choice {
  readonly index: number
  text: string
  readonly pieces: Piece[]
  finishReason: 'stop' | 'length' | undefined
}

export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** One event of a stream. */
export interface StreamEvent {
  readonly name?: string
  readonly data: unknown
}

/** OpenAI's clock: seconds since 1970. */
export const seconds = ({ now }: ServedModel) => Math.floor(now() / 1000)

/** How an endpoint writes answers down. Events come in the order: opening, of each choice begin, more and end, closing. */
export interface AnswerFormat {
  whole(choices: readonly Choice[], usage: Usage): unknown
  opening(): StreamEvent[]
  begin(choice: Choice): StreamEvent[]
  more(choice: Choice, text: string, pieces: readonly Piece[]): StreamEvent[]
  end(choice: Choice): StreamEvent[]
  closing(choices: readonly Choice[], usage: Usage): StreamEvent[]
}

/** A request, understood and checked. */
export interface Call {
  readonly prompts: readonly (readonly number[])[]
  /** Answers of each prompt. */
  readonly numGenerations: number
  readonly seed: number
  readonly isStream: boolean
  readonly options: Omit<SequenceOptions, 'createTextStream' | 'stopTokenIds'>
  readonly format: AnswerFormat
}

/** One endpoint of OpenAI's API. Throws RequestError. */
export type Endpoint = (body: Readonly<Record<string, unknown>>, model: ServedModel) => Call
