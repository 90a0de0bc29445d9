import { createChatCodec, type MarkedText } from './chat-codec.ts'
import { type ChatMessage, type ChatOptions, templateOf } from './chat-template.ts'
import { createTextEncoder } from './text-encoder.ts'
import type { DecodeStream } from './token-decoder.ts'
import { inFile } from './tokenizer-errors.ts'
import { parseTokenizerJson, type TokenizerJson, tokenString } from './tokenizer-json.ts'

export interface EncodeOptions {
  /** Parse special tokens written in the text, as transformers does. Default false: they are plain text. */
  parseSpecial?: boolean
  /** Add what the post-processor adds: usually BOS. Default true. */
  addSpecialTokens?: boolean
}

export interface DecodeOptions {
  skipSpecialTokens?: boolean
}

export interface Tokenizer {
  /** Largest id + 1; a model's embedding may have more rows. */
  readonly vocabSize: number
  readonly bosTokenId: number | undefined
  readonly eosTokenId: number | undefined
  readonly padTokenId: number | undefined
  /** Text of a special token → id. */
  readonly specialTokens: ReadonlyMap<string, number>
  readonly chatTemplate: string | undefined
  /** The files' contents, for saving. */
  readonly tokenizerJson: Record<string, unknown>
  readonly tokenizerConfig: Record<string, unknown>

  /** Ids as Python's `tokenizers` gives them; see `EncodeOptions` for the difference to transformers. */
  encode(text: string, options?: EncodeOptions): number[]
  /** Text as transformers' `decode(ids, clean_up_tokenization_spaces=False)`; unknown ids are left out. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string
  /** The token as the vocabulary writes it (`Ġthe`), undefined for an unknown id. */
  idToToken(id: number): string | undefined
  /** Turns such tokens into text; `createTextStream` is the same for ids. */
  decodeStream(): DecodeStream

  /** Text for a person to read. Errors: those of `checkMessages` and `compileTemplate`, `NO_CHAT_TEMPLATE`. */
  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): string
  /** Ids of a conversation. Special tokens in contents stay text unless `parseSpecial`. Errors as `renderChat`. */
  encodeChat(messages: readonly ChatMessage[], options?: ChatOptions & { parseSpecial?: boolean }): number[]
  /** The two halves of `encodeChat`, for those who must cut the rendering in between. */
  renderMarkedChat(messages: readonly ChatMessage[], options?: ChatOptions): MarkedText
  encodeMarkedText(marked: MarkedText, options?: { isStart?: boolean }): number[]
}

export interface LoadTokenizerOptions {
  /** tokenizer.json, as text or parsed. */
  tokenizerJson: unknown
  /** tokenizer_config.json, parsed. */
  tokenizerConfig?: Record<string, unknown>
  /** Wins over the template in the config (chat_template.jinja, `--chat-template`). */
  chatTemplate?: string
  /** What messages call that template; default `The chat template`. */
  chatTemplateName?: string
  /** The file that errors name; default tokenizer.json. */
  where?: string
  /** The clock of `strftime_now`. */
  now?: () => Date
}

/**
 * A tokenizer from tokenizer.json. BPE only (byte-level or SentencePiece).
 *
 * Errors: `BAD_TOKENIZER` (broken file), `UNSUPPORTED_TOKENIZER` (a part that is not known, with those that are).
 */
export function loadTokenizer(options: LoadTokenizerOptions): Tokenizer {
  const { source, parts, encodeText } = readParts(options)
  const { tokenizerConfig = {}, now = () => new Date() } = options
  const chatTemplate = options.chatTemplate ?? templateOf(tokenizerConfig.chat_template)
  const { tokens, idOf } = vocabulary(parts)
  const special = parts.added_tokens.filter((token) => token.special)
  const specialIds = new Set(special.map(({ id }) => id))
  const { prefixIds, suffixIds } = parts
  const decodeStream = parts.decodeStream

  const encode = (text: string, { parseSpecial = false, addSpecialTokens = true }: EncodeOptions = {}): number[] => {
    const ids: number[] = addSpecialTokens ? [...prefixIds] : []
    encodeText(text.toWellFormed(), { parseSpecial, isStart: true }, ids)
    if (addSpecialTokens) ids.push(...suffixIds)
    return ids
  }

  const decode = (ids: ArrayLike<number>, { skipSpecialTokens = false }: DecodeOptions = {}): string => {
    const kept: string[] = []
    for (let i = 0; i < ids.length; i++) {
      const token = tokens[ids[i]]
      if (token !== undefined && !(skipSpecialTokens && specialIds.has(ids[i]))) kept.push(token)
    }
    const stream = decodeStream()
    return stream.push(kept) + stream.end()
  }

  const namedTokens = Object.fromEntries(
    ['bos_token', 'eos_token', 'pad_token', 'unk_token'].flatMap((name) => {
      const token = tokenString(tokenizerConfig[name])
      return token === undefined ? [] : [[name, token]]
    }),
  )
  const idOfNamed = (name: string) => (name in namedTokens ? idOf.get(namedTokens[name]) : undefined)

  const chat = createChatCodec({
    special,
    chatTemplate,
    templateName: options.chatTemplateName,
    namedTokens,
    now,
    encodeText,
  })

  return {
    vocabSize: tokens.length,
    bosTokenId: idOfNamed('bos_token'),
    eosTokenId: idOfNamed('eos_token'),
    padTokenId: idOfNamed('pad_token'),
    specialTokens: new Map(special.map(({ content, id }) => [content, id])),
    chatTemplate,
    tokenizerJson: source,
    tokenizerConfig,
    encode,
    decode,
    idToToken: (id) => tokens[id],
    decodeStream,
    ...chat,
    encodeChat: (messages, { parseSpecial = false, ...options } = {}) =>
      parseSpecial
        ? encode(chat.renderChat(messages, options), { parseSpecial: true, addSpecialTokens: false })
        : chat.encodeMarkedText(chat.renderMarkedChat(messages, options)),
  }
}

function readParts({ tokenizerJson, where = 'tokenizer.json' }: LoadTokenizerOptions) {
  try {
    const { source, parts } = parseTokenizerJson(tokenizerJson)
    return { source, parts, encodeText: createTextEncoder(parts) }
  } catch (error) {
    throw inFile(where, error)
  }
}

/** Decodes ids one by one: the pieces joined are `decode` of all of them, and none ends inside a character. */
export function createTextStream(tokenizer: Tokenizer, { skipSpecialTokens = false }: DecodeOptions = {}) {
  const stream = tokenizer.decodeStream()
  const specialIds = new Set(tokenizer.specialTokens.values())
  return {
    /** The text that this id makes certain; often empty. */
    push(id: number): string {
      const token = tokenizer.idToToken(id)
      return token === undefined || (skipSpecialTokens && specialIds.has(id)) ? '' : stream.push([token])
    },
    /** What is left when no more ids come. */
    end: () => stream.end(),
  }
}

/** Tokens by id and ids by token. Added tokens win over the model's vocabulary, as in `tokenizers`. */
function vocabulary({ model, added_tokens }: TokenizerJson) {
  const idOf = new Map<string, number>()
  const tokens: string[] = []
  const add = (token: string, id: number) => {
    idOf.set(token, id)
    tokens[id] = token
  }
  for (const token of Object.keys(model.vocab)) add(token, model.vocab[token])
  for (const { content, id } of added_tokens) add(content, id)
  return { tokens, idOf }
}
