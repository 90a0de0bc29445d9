import { PlumblineError } from '@plumbline/contracts'
import { addedTokenSplitter } from './added-tokens.ts'
import {
  type ChatMessage,
  type ChatOptions,
  checkMessages,
  chooseMark,
  createMarker,
  dropMarks,
  templateOf,
} from './chat-template.ts'
import { BPE, SequenceNormalizer } from './hf-libraries.ts'
import { createPreTokenizer } from './pre-tokenizer.ts'
import { compileTemplate, type RenderTemplate } from './template-sandbox.ts'
import type { DecodeStream } from './token-decoder.ts'
import { brokenTokenizer, parseTokenizerJson, type TokenizerJson, tokenString } from './tokenizer-json.ts'

export interface EncodeOptions {
  /** Parse special tokens written in the text, as transformers does. Default false: they are plain text. */
  parseSpecial?: boolean
  /** Add what the post-processor adds: usually BOS. Default true. */
  addSpecialTokens?: boolean
}

export interface DecodeOptions {
  skipSpecialTokens?: boolean
}

/** A rendered conversation in which special tokens from contents are broken by `mark`. */
export interface MarkedText {
  text: string
  mark: string
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
  /** The clock of `strftime_now`. */
  now?: () => Date
}

/** Words that were seen keep their ids; the table is emptied when it is full. Long words are seldom seen twice. */
const MAX_CACHED_WORDS = 1 << 16
const MAX_CACHED_LENGTH = 64

/**
 * A tokenizer from tokenizer.json. BPE only (byte-level or SentencePiece).
 *
 * Errors: `BAD_TOKENIZER` (broken file), `UNSUPPORTED_TOKENIZER` (a part that is not known, with those that are).
 */
export function loadTokenizer(options: LoadTokenizerOptions): Tokenizer {
  const { source, parts } = parseTokenizerJson(options.tokenizerJson)
  const { tokenizerConfig = {}, now = () => new Date() } = options
  const chatTemplate = options.chatTemplate ?? templateOf(tokenizerConfig.chat_template)
  const { tokens, idOf } = vocabulary(parts)
  const special = parts.added_tokens.filter((token) => token.special)
  const specialIds = new Set(special.map(({ id }) => id))
  const encodeText = checkedTextEncoder(parts)
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

  let template: RenderTemplate | undefined
  const render = (
    messages: readonly ChatMessage[],
    { addGenerationPrompt = false, tools, documents, variables }: ChatOptions,
  ): string => {
    if (chatTemplate === undefined) {
      throw new PlumblineError(
        'NO_CHAT_TEMPLATE',
        'The tokenizer has no chat template, so messages cannot be turned into text.',
        {
          hint: 'Pass one with --chat-template, or give "prompt" as text.',
        },
      )
    }
    template ??= compileTemplate(chatTemplate)
    const given = {
      messages,
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt: addGenerationPrompt,
    }
    return template({ ...variables, ...namedTokens, ...given }, now())
  }

  const splitSpecial = addedTokenSplitter(special)
  const renderMarkedChat = (messages: readonly ChatMessage[], chat: ChatOptions = {}): MarkedText => {
    checkMessages(messages)
    const { addGenerationPrompt, ...rest } = chat
    const inputs = { messages, ...rest }
    const mark = chooseMark([inputs, chatTemplate, namedTokens])
    const { messages: marked, ...others } = createMarker(
      special.map(({ content }) => content),
      mark,
    )(inputs)
    return { text: render(marked, { addGenerationPrompt, ...others }), mark }
  }
  const encodeMarkedText = ({ text, mark }: MarkedText, { isStart = true } = {}): number[] => {
    const ids: number[] = []
    const fromTemplate = splitSpecial(
      text.toWellFormed(),
      (token, start) => token.content.length > 1 || text[start - 1] !== mark,
    )
    for (const segment of fromTemplate) {
      if ('id' in segment) ids.push(segment.id)
      else
        encodeText(dropMarks(segment.text, mark), { parseSpecial: false, isStart: isStart && segment.start === 0 }, ids)
    }
    return ids
  }
  const renderChat = (messages: readonly ChatMessage[], chat: ChatOptions = {}): string => {
    checkMessages(messages)
    return render(messages, chat)
  }

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
    renderChat,
    encodeChat: (messages, { parseSpecial = false, ...chat } = {}) =>
      parseSpecial
        ? encode(renderChat(messages, chat), { parseSpecial: true, addSpecialTokens: false })
        : encodeMarkedText(renderMarkedChat(messages, chat)),
    renderMarkedChat,
    encodeMarkedText,
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

/**
 * Ids of a completion given as messages: what the chat template adds behind the prompt with its generation prompt.
 * The completion is tokenized on its own where BPE would merge across the border, because a model that generates starts
 * from exactly `promptIds`.
 *
 * Errors: `CHAT_TEMPLATE_NOT_PREFIX` when the template writes the prompt differently once a completion follows.
 */
export function encodeChatCompletion(
  tokenizer: Tokenizer,
  prompt: readonly ChatMessage[],
  completion: readonly ChatMessage[],
  options: Omit<ChatOptions, 'addGenerationPrompt'> = {},
): { promptIds: number[]; completionIds: number[] } {
  const before = tokenizer.renderMarkedChat(prompt, { ...options, addGenerationPrompt: true })
  const whole = tokenizer.renderMarkedChat([...prompt, ...completion], { ...options, addGenerationPrompt: false })
  // The mark of the longer conversation is free in the shorter one too, but not the other way round.
  const start = before.text.replaceAll(before.mark, whole.mark)
  if (!whole.text.startsWith(start)) throw notPrefix(start, whole)

  const promptIds = tokenizer.encodeMarkedText({ text: start, mark: whole.mark })
  const allIds = tokenizer.encodeMarkedText(whole)
  if (promptIds.every((id, i) => allIds[i] === id)) return { promptIds, completionIds: allIds.slice(promptIds.length) }
  const rest = { text: whole.text.slice(start.length), mark: whole.mark }
  return { promptIds, completionIds: tokenizer.encodeMarkedText(rest, { isStart: false }) }
}

function notPrefix(start: string, { text, mark }: MarkedText): PlumblineError {
  let at = 0
  while (at < start.length && start[at] === text[at]) at++
  const around = (rendering: string) => JSON.stringify(dropMarks(rendering.slice(Math.max(0, at - 20), at + 20), mark))
  return new PlumblineError(
    'CHAT_TEMPLATE_NOT_PREFIX',
    `The chat template writes the prompt differently once a completion follows: at character ${at}, ${around(start)} becomes ${around(text)}.`,
    { hint: 'Pass a --chat-template that only appends, or give "prompt" and "completion" as text.' },
  )
}

/** Tokens by id and ids by token. Added tokens win over the model's vocabulary, as in `tokenizers`. */
function vocabulary({ model, added_tokens }: TokenizerJson) {
  const idOf = new Map(Object.entries(model.vocab))
  for (const { content, id } of added_tokens) idOf.set(content, id)
  const tokens: string[] = []
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token
  for (const { content, id } of added_tokens) tokens[id] = content
  return { tokens, idOf }
}

function checkedTextEncoder(parts: TokenizerJson) {
  try {
    return textEncoder(parts)
  } catch (cause) {
    throw brokenTokenizer(cause)
  }
}

/** Appends the ids of a text to `ids`, without what the post-processor adds. */
function textEncoder({ model, added_tokens, normalizer, pre_tokenizer }: TokenizerJson) {
  const bpe = new BPE({ ...model, type: 'BPE' })
  bpe.max_length_to_cache = 0 // words are cached here, as ids
  const normalize = new SequenceNormalizer({ type: 'Sequence', normalizers: normalizer ? [normalizer] : [] })
  const { split, toModelInput } = createPreTokenizer(pre_tokenizer)
  // Added tokens are looked for in the raw text, then those that say so in the normalized text.
  const splitRaw = addedTokenSplitter(added_tokens.filter(({ normalized }) => !normalized))
  const splitNormalized = addedTokenSplitter(
    added_tokens
      .filter(({ normalized }) => normalized)
      .map((token) => ({ ...token, content: normalize.normalize(token.content) })),
  )

  let cache = new Map<string, number[]>()
  const encodeWord = (word: string): number[] => {
    const known = cache.get(word)
    if (known) return known
    const wordIds: number[] = []
    for (const token of bpe._call([toModelInput(word)])) {
      const id = bpe.tokens_to_ids.get(token) ?? bpe.unk_token_id
      if (id !== undefined) wordIds.push(id)
    }
    if (word.length <= MAX_CACHED_LENGTH) {
      if (cache.size >= MAX_CACHED_WORDS) cache = new Map()
      cache.set(word, wordIds)
    }
    return wordIds
  }

  return (
    text: string,
    { parseSpecial, isStart }: { parseSpecial: boolean; isStart: boolean },
    ids: number[],
  ): void => {
    const isParsed = ({ special }: { special: boolean }) => parseSpecial || !special
    for (const raw of splitRaw(text, isParsed)) {
      if ('id' in raw) {
        ids.push(raw.id)
        continue
      }
      for (const segment of splitNormalized(normalize.normalize(raw.text), isParsed)) {
        if ('id' in segment) {
          ids.push(segment.id)
          continue
        }
        for (const word of split(segment.text, isStart && raw.start + segment.start === 0)) {
          const wordIds = encodeWord(word)
          for (let i = 0; i < wordIds.length; i++) ids.push(wordIds[i])
        }
      }
    }
  }
}
