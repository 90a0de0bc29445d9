import { nearest, PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { isNumberList, isTextList, large } from './large-schema.ts'
import { brokenTokenizer, inFile } from './tokenizer-errors.ts'

/** What `loadTokenizer` takes, and a model folder keeps. */
export interface TokenizerFiles {
  tokenizerJson: Record<string, unknown>
  tokenizerConfig: Record<string, unknown>
}

/** How a `tokenizer.ggml.pre` splits text into words. */
interface PreRule {
  preTokenizers: Record<string, unknown>[]
  normalizer?: Record<string, unknown>
  /** A word that is a token as a whole is not built from merges. */
  ignoreMerges?: boolean
  /** Whether BOS is added when the file does not say. */
  addBos?: boolean
}

const splitBy = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false })
const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})
const digits = { type: 'Digits', individual_digits: true }

const LLAMA3_PATTERN = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
const QWEN2_PATTERN = LLAMA3_PATTERN.replace(String.raw`\p{N}{1,3}`, String.raw`\p{N}`)

const gpt2: PreRule = { preTokenizers: [byteLevel(true)] }
const digitByDigit: PreRule = { preTokenizers: [digits, byteLevel(true)] }
const llama3: PreRule = { preTokenizers: [splitBy(LLAMA3_PATTERN), byteLevel(false)], ignoreMerges: true, addBos: true }
const qwen2: PreRule = { preTokenizers: [splitBy(QWEN2_PATTERN), byteLevel(false)], normalizer: { type: 'NFC' } }

/** Source: `llm_load_vocab` of https://github.com/ggml-org/llama.cpp, checked against the models' own tokenizer.json. */
const preRules: Record<string, PreRule> = {
  default: gpt2,
  'gpt-2': gpt2,
  'phi-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  smollm: digitByDigit,
  starcoder: digitByDigit,
  refact: digitByDigit,
  codeshell: digitByDigit,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3: llama3,
  qwen2,
  'deepseek-r1-qwen': qwen2,
}

/** Source: `enum llama_token_type` of llama.cpp. */
const CONTROL = 3
const USER_DEFINED = 4

const tokenId = z.number().int().min(0)
const texts = large(z.array(z.string()), isTextList)
const numbers = large(z.array(z.number()), isNumberList)
const metadataSchema = z.object({
  model: z.string(),
  pre: z.string().optional(),
  tokens: texts.refine(({ length }) => length > 0, 'expected at least one token'),
  token_type: numbers.optional(),
  merges: texts.optional(),
  scores: numbers.optional(),
  bos_token_id: tokenId.optional(),
  eos_token_id: tokenId.optional(),
  unknown_token_id: tokenId.optional(),
  padding_token_id: tokenId.optional(),
  add_bos_token: z.boolean().optional(),
  add_eos_token: z.boolean().optional(),
  add_space_prefix: z.boolean().optional(),
})
type Metadata = z.infer<typeof metadataSchema>

/**
 * The tokenizer that a GGUF file describes, as the files of a Hugging Face folder.
 * `where` is the file that errors name. Unlike transformers, `tokenizer.ggml.pre` is obeyed: `smollm` splits off every digit before GPT-2's pattern.
 *
 * Errors: `UNSUPPORTED_TOKENIZER` (unknown `model` or `pre`, with those known), `BAD_TOKENIZER` (missing or wrong fields).
 */
export function tokenizerFromGguf(
  metadata: ReadonlyMap<string, unknown> | Record<string, unknown>,
  where = 'GGUF',
): TokenizerFiles {
  try {
    return filesFromGguf(metadata)
  } catch (error) {
    throw inFile(where, error)
  }
}

function filesFromGguf(metadata: ReadonlyMap<string, unknown> | Record<string, unknown>): TokenizerFiles {
  const get = (key: string) =>
    metadata instanceof Map ? metadata.get(key) : (metadata as Record<string, unknown>)[key]
  const fields = parseMetadata(get)
  const build = fields.model === 'gpt2' ? byteLevelJson : fields.model === 'llama' ? sentencePieceJson : undefined
  if (build === undefined) {
    throw new PlumblineError(
      'UNSUPPORTED_TOKENIZER',
      `tokenizer.ggml.model ${JSON.stringify(fields.model)} is not supported; supported: gpt2, llama.`,
      { hint: 'Use the Hugging Face folder of the model instead of the GGUF.' },
    )
  }
  const chatTemplate = get('tokenizer.chat_template')
  const named = {
    bos: fields.bos_token_id,
    eos: fields.eos_token_id,
    unk: fields.unknown_token_id,
    pad: fields.padding_token_id,
  }
  return {
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(fields),
      ...build(fields),
    },
    tokenizerConfig: {
      // The class that takes tokenizer.json as it is; others rebuild the pre-tokenizer and lose the digit rule.
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      ...Object.fromEntries(
        Object.entries(named).flatMap(([name, id]) =>
          id === undefined ? [] : [[`${name}_token`, tokenAt(fields, id)]],
        ),
      ),
      ...(typeof chatTemplate === 'string' ? { chat_template: chatTemplate } : {}),
    },
  }
}

function parseMetadata(get: (key: string) => unknown): Metadata {
  const given = Object.fromEntries(
    Object.keys(metadataSchema.shape).map((name) => {
      const value = get(`tokenizer.ggml.${name}`)
      return [name, ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value]
    }),
  )
  const parsed = metadataSchema.safeParse(given)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw broken(`tokenizer.ggml.${issue.path.join('.')}: ${issue.message}`)
  }
  for (const name of ['token_type', 'scores'] as const) {
    const list = parsed.data[name]
    if (list !== undefined && list.length !== parsed.data.tokens.length) {
      throw broken(`tokenizer.ggml.${name} has ${list.length} entries for ${parsed.data.tokens.length} tokens`)
    }
  }
  return parsed.data
}

function addedTokens({ tokens, token_type = [] }: Metadata): Record<string, unknown>[] {
  return tokens.flatMap((content, id) => {
    const type = token_type[id]
    if ((type !== CONTROL && type !== USER_DEFINED) || content === '') return []
    const special = type === CONTROL
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }]
  })
}

function byteLevelJson(fields: Metadata): Record<string, unknown> {
  const { tokens, merges, pre = 'default' } = fields
  if (!Object.hasOwn(preRules, pre)) {
    const close = nearest(pre, Object.keys(preRules))
    throw new PlumblineError(
      'UNSUPPORTED_TOKENIZER',
      `tokenizer.ggml.pre ${JSON.stringify(pre)} is not known; known: ${Object.keys(preRules).join(', ')}.`,
      {
        hint: `${close ? `Is it a kind of ${close}? ` : ''}Use the Hugging Face folder of the model instead of the GGUF.`,
      },
    )
  }
  if (merges === undefined) throw broken('tokenizer.ggml.merges is missing')
  const { preTokenizers, normalizer = null, ignoreMerges = false, addBos = false } = preRules[pre]
  const pairs = merges.map((merge, i) => {
    const space = merge.indexOf(' ', 1)
    if (space < 0) throw broken(`tokenizer.ggml.merges[${i}] is not a pair of tokens`)
    return [merge.slice(0, space), merge.slice(space + 1)]
  })
  return {
    normalizer,
    pre_tokenizer: preTokenizers.length === 1 ? preTokenizers[0] : { type: 'Sequence', pretokenizers: preTokenizers },
    post_processor: postProcessor(fields, addBos),
    decoder: byteLevel(true),
    model: bpeModel(tokens, pairs, { ignore_merges: ignoreMerges }),
  }
}

/** SentencePiece BPE. Its merges are not stored: they follow from the tokens' scores, best first. */
function sentencePieceJson(fields: Metadata): Record<string, unknown> {
  const { tokens, scores, add_space_prefix = true, unknown_token_id } = fields
  if (scores === undefined) throw broken('tokenizer.ggml.scores is missing')
  const prepend = add_space_prefix ? [{ type: 'Prepend', prepend: '▁' }] : []
  const unk = unknown_token_id === undefined ? null : tokenAt(fields, unknown_token_id)
  return {
    normalizer: {
      type: 'Sequence',
      normalizers: [...prepend, { type: 'Replace', pattern: { String: ' ' }, content: '▁' }],
    },
    pre_tokenizer: null,
    post_processor: postProcessor(fields, true),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(add_space_prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpeModel(tokens, mergesFromScores(tokens, scores), { byte_fallback: true, fuse_unk: true, unk_token: unk }),
  }
}

/** Source: `generate_merges` of transformers' convert_slow_tokenizer.py. */
function mergesFromScores(tokens: readonly string[], scores: readonly number[]): string[][] {
  const idOf = new Map(tokens.map((token, id) => [token, id]))
  const merges: { left: string; right: string; score: number }[] = []
  for (const [token, id] of idOf) {
    const characters = Array.from(token)
    const splits: { left: string; right: string; score: number }[] = []
    for (let i = 1; i < characters.length; i++) {
      const left = characters.slice(0, i).join('')
      const right = characters.slice(i).join('')
      if (idOf.has(left) && idOf.has(right)) splits.push({ left, right, score: scores[id] })
    }
    merges.push(
      ...splits.sort((a, b) => idOf.get(a.left)! - idOf.get(b.left)! || idOf.get(a.right)! - idOf.get(b.right)!),
    )
  }
  const length = (text: string) => Array.from(text).length
  merges.sort((a, b) => b.score - a.score || length(b.left) - length(a.left) || length(b.right) - length(a.right))
  return merges.map(({ left, right }) => [left, right])
}

function bpeModel(
  tokens: readonly string[],
  merges: string[][],
  options: Record<string, unknown>,
): Record<string, unknown> {
  // A token that stands twice keeps its first id, the one that llama.cpp's lookup gives.
  const vocab: Record<string, number> = Object.create(null)
  for (let id = tokens.length - 1; id >= 0; id--) vocab[tokens[id]] = id
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    ...options,
    vocab,
    merges,
  }
}

function postProcessor(fields: Metadata, addsBos: boolean): Record<string, unknown> | null {
  const bos = (fields.add_bos_token ?? addsBos) ? fields.bos_token_id : undefined
  const eos = (fields.add_eos_token ?? false) ? fields.eos_token_id : undefined
  const piece = (id: number | undefined, type_id: number) =>
    id === undefined ? [] : [{ SpecialToken: { id: tokenAt(fields, id), type_id } }]
  const text = (id: string, type_id: number) => [
    ...piece(bos, type_id),
    { Sequence: { id, type_id } },
    ...piece(eos, type_id),
  ]
  if (bos === undefined && eos === undefined) return null
  const special = [bos, eos].filter((id) => id !== undefined)
  return {
    type: 'TemplateProcessing',
    single: text('A', 0),
    pair: [...text('A', 0), ...text('B', 1)],
    special_tokens: Object.fromEntries(
      special.map((id) => [tokenAt(fields, id), { id: tokenAt(fields, id), ids: [id], tokens: [tokenAt(fields, id)] }]),
    ),
  }
}

function tokenAt({ tokens }: Metadata, id: number): string {
  if (id >= tokens.length) throw broken(`token id ${id} is named, but there are ${tokens.length} tokens`)
  return tokens[id]
}

function broken(why: string): PlumblineError {
  return brokenTokenizer(new Error(why))
}
