import * as jinja from '@huggingface/jinja'
import * as tokenizers from '@huggingface/tokenizers'

/**
 * What we use of Hugging Face's libraries, with our types: theirs import each other without file extensions, so that
 * TypeScript finds nothing behind them in Node's resolution. Versions are pinned exactly, and golden tests watch behaviour.
 */
interface Tokenizers {
  BPE: new (
    config: object,
  ) => {
    max_length_to_cache: number
    tokens_to_ids: Map<string, number>
    unk_token_id: number | undefined
    _call(words: string[]): string[]
  }
  SplitPreTokenizer: new (config: object) => { pattern: RegExp | null }
  SequenceNormalizer: new (config: { type: 'Sequence'; normalizers: unknown[] }) => { normalize(text: string): string }
}

/** A value while a template runs. */
interface RuntimeValue {
  value: unknown
  toString(): string
}

export interface JinjaEnvironment {
  variables: Map<string, unknown>
  set(name: string, value: unknown): void
}

interface Jinja {
  Template: new (source: string) => { parsed: unknown }
  Environment: new () => JinjaEnvironment
  Interpreter: new (
    environment: JinjaEnvironment,
  ) => {
    run(program: unknown): RuntimeValue
    evaluate(node: unknown, environment: JinjaEnvironment): RuntimeValue | undefined
  }
}

export const { BPE, SplitPreTokenizer, SequenceNormalizer } = tokenizers as unknown as Tokenizers
export const { Template, Environment, Interpreter } = jinja as unknown as Jinja
