import { addedTokenSplitter } from './added-tokens.ts'
import { BPE } from './hf-libraries.ts'
import { createNormalizer } from './normalizer.ts'
import { createPreTokenizer } from './pre-tokenizer.ts'
import type { TokenizerJson } from './tokenizer-json.ts'

export type TextEncoding = (text: string, options: { parseSpecial: boolean; isStart: boolean }, ids: number[]) => void

/** Words that were seen keep their ids; the table is emptied when it is full. Long words are seldom seen twice. */
const MAX_CACHED_WORDS = 1 << 16
const MAX_CACHED_LENGTH = 64

/** Appends the ids of a text to `ids`, without what the post-processor adds. Errors: as `parseTokenizerJson`. Encoding throws `NORMALIZER_GROWS`. */
export function createTextEncoder({ model, added_tokens, normalizer, pre_tokenizer }: TokenizerJson): TextEncoding {
  const bpe = new BPE({ ...model, type: 'BPE' })
  bpe.max_length_to_cache = 0 // words are cached here, as ids
  const normalize = createNormalizer(normalizer)
  const { split, toModelInput } = createPreTokenizer(pre_tokenizer)
  // Added tokens are looked for in the raw text, then those that say so in the normalized text.
  const splitRaw = addedTokenSplitter(added_tokens.filter(({ normalized }) => !normalized))
  const splitNormalized = addedTokenSplitter(
    added_tokens
      .filter(({ normalized }) => normalized)
      .map((token) => ({ ...token, content: normalize(token.content) })),
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
      for (const segment of splitNormalized(normalize(raw.text), isParsed)) {
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
