import { z } from 'zod'
import type { AddedToken } from './added-tokens.ts'
import { isJsonObject } from './json-file.ts'
import { isTextList, large } from './large-schema.ts'
import { createDecoder, type DecodeStream } from './token-decoder.ts'
import { unsupportedPart } from './tokenizer-errors.ts'

/** A checked tokenizer.json. */
export interface TokenizerJson {
  model: { vocab: Record<string, number>; [field: string]: unknown }
  added_tokens: AddedToken[]
  normalizer: unknown
  pre_tokenizer: unknown
  /** What the post-processor puts before and behind a text. */
  prefixIds: number[]
  suffixIds: number[]
  decodeStream: () => DecodeStream
}

/** No tokenizer has more; an id is an index into arrays. */
const MAX_ID = 1 << 24

const tokenId = z.number().int().min(0).max(MAX_ID)
const flag = z.boolean().default(false)
const addedTokenSchema = z.looseObject({
  id: tokenId,
  content: z.string(),
  special: flag,
  normalized: flag,
  single_word: flag,
  lstrip: flag,
  rstrip: flag,
})
const fileSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).nullish(),
  model: z.looseObject({ type: z.string().optional() }),
})
const isTokenId = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID
const isPair = (value: unknown) => isTextList(value) && (value as unknown[]).length === 2
const modelSchema = z.looseObject({
  vocab: large(z.record(z.string(), tokenId), (value) => isJsonObject(value) && Object.values(value).every(isTokenId)),
  merges: large(
    z.union([z.array(z.string()), z.array(z.tuple([z.string(), z.string()]))]),
    (value) => isTextList(value) || (Array.isArray(value) && value.every(isPair)),
  ),
  unk_token: z.string().nullish(),
  dropout: z.number().nullish(),
  continuing_subword_prefix: z.string().nullish(),
  end_of_word_suffix: z.string().nullish(),
})
const templateItem = z.union([
  z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) }),
  z.looseObject({ Sequence: z.looseObject({ id: z.string() }) }),
])
const templateProcessing = z.looseObject({
  single: z.array(templateItem),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(tokenId) })),
})
const typed = z.looseObject({ type: z.string() })
const pair = z.tuple([z.string(), tokenId])

/** Checks a tokenizer.json given as text or parsed. Errors: `UNSUPPORTED_TOKENIZER`; any other is one that `brokenTokenizer` puts into words. */
export function parseTokenizerJson(given: unknown): { source: Record<string, unknown>; parts: TokenizerJson } {
  const source = (typeof given === 'string' ? JSON.parse(given) : given) as Record<string, unknown>
  const file = fileSchema.parse(source)
  const type = file.model.type ?? (file.model.merges ? 'BPE' : 'none')
  if (type !== 'BPE') throw unsupportedPart(`model type ${type}`, 'BPE')
  const model = modelSchema.parse(file.model)
  if (model.dropout) throw unsupportedPart('BPE with dropout', 'BPE without')
  if (model.continuing_subword_prefix || model.end_of_word_suffix)
    throw unsupportedPart('BPE with sub-word affixes', 'BPE without')
  checkMerges(model)
  return {
    source,
    parts: {
      model,
      added_tokens: (file.added_tokens ?? []).filter(({ content }) => content !== ''),
      normalizer: file.normalizer,
      pre_tokenizer: file.pre_tokenizer,
      ...postProcessing(file.post_processor),
      decodeStream: createDecoder(file.decoder),
    },
  }
}

/** Both sides of a merge and what it makes must be tokens, as in Python: text that merges into no token would be lost. */
function checkMerges({ vocab, merges }: z.infer<typeof modelSchema>): void {
  for (const [i, merge] of merges.entries()) {
    const [left, right, ...more] = typeof merge === 'string' ? merge.split(' ') : merge
    if (right === undefined || more.length > 0) throw new Error(`model.merges[${i}] is not a pair of tokens`)
    for (const token of [left, right, left + right]) {
      if (!Object.hasOwn(vocab, token))
        throw new Error(`model.merges[${i}] needs ${JSON.stringify(token)}, which is not in the vocabulary`)
    }
  }
}

/** The text of a token in tokenizer_config.json or special_tokens_map.json: a string, or an object with `content`. */
export function tokenString(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  const content = (value as { content?: unknown } | null | undefined)?.content
  return typeof content === 'string' ? content : undefined
}

function postProcessing(config: unknown): { prefixIds: number[]; suffixIds: number[] } {
  if (config === null || config === undefined) return { prefixIds: [], suffixIds: [] }
  const { type } = typed.parse(config)
  if (type === 'ByteLevel') return { prefixIds: [], suffixIds: [] }
  if (type === 'Sequence') {
    const all = z
      .looseObject({ processors: z.array(z.unknown()) })
      .parse(config)
      .processors.map(postProcessing)
    return { prefixIds: all.toReversed().flatMap((p) => p.prefixIds), suffixIds: all.flatMap((p) => p.suffixIds) }
  }
  if (type === 'BertProcessing' || type === 'RobertaProcessing') {
    const { cls, sep } = z.looseObject({ cls: pair, sep: pair }).parse(config)
    return { prefixIds: [cls[1]], suffixIds: [sep[1]] }
  }
  if (type !== 'TemplateProcessing') {
    throw unsupportedPart(
      `post-processor ${type}`,
      'TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing, Sequence',
    )
  }
  const { single, special_tokens } = templateProcessing.parse(config)
  const ids = single.map((item) => {
    if (!('SpecialToken' in item)) return undefined
    const { id } = item.SpecialToken as { id: string }
    if (!Object.hasOwn(special_tokens, id))
      throw new Error(`post_processor names ${JSON.stringify(id)} but does not define it`)
    return special_tokens[id].ids
  })
  const text = ids.indexOf(undefined)
  if (text < 0 || ids.lastIndexOf(undefined) !== text) throw new Error('post_processor must have the text exactly once')
  return {
    prefixIds: ids.slice(0, text).flatMap((x) => x ?? []),
    suffixIds: ids.slice(text + 1).flatMap((x) => x ?? []),
  }
}
