import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BYTE_CHARACTERS, fromByteCharacters, toByteCharacters } from './byte-level.ts'
import { createTextStream, loadTokenizer, tokenizerFromGguf } from './index.ts'

const tokens = ['<|end|>', ...BYTE_CHARACTERS, 'Ġt', 'he', 'Ġthe', 'Ã©']
const metadata = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': tokens,
  'tokenizer.ggml.merges': ['Ġ t', 'h e', 'Ġt he', 'Ã ©'],
  'tokenizer.ggml.token_type': tokens.map((_, id) => (id === 0 ? 3 : 1)),
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 0,
}
const files = tokenizerFromGguf(metadata)
const tokenizer = loadTokenizer(files)
const textArb = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('<|end|>', '<|', ' the', '  1', 'é', '😀', '\ud800', '\n'), { maxLength: 20 })
    .map((parts) => parts.join('')),
)

test('decode gives back what was encoded; a lone surrogate becomes U+FFFD', () => {
  fc.assert(
    fc.property(textArb, (text) => {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.toWellFormed())
    }),
  )
})

test('typed special tokens are text unless asked for', () => {
  fc.assert(
    fc.property(textArb, (text) => {
      expect(tokenizer.encode(text)).not.toContain(0)
    }),
  )
  expect(tokenizer.encode('<|end|>', { parseSpecial: true })).toEqual([0])
})

test('a stream says what decode says, and never half a character', () => {
  const idsArb = fc.array(fc.integer({ min: 0, max: tokens.length + 2 }), { maxLength: 30 })
  fc.assert(
    fc.property(idsArb, fc.boolean(), (ids, skipSpecialTokens) => {
      const stream = createTextStream(tokenizer, { skipSpecialTokens })
      expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe(
        tokenizer.decode(ids, { skipSpecialTokens }),
      )
    }),
  )
  fc.assert(
    fc.property(textArb, (text) => {
      const stream = createTextStream(tokenizer)
      const parts = tokenizer.encode(text).map((id) => stream.push(id))
      expect(parts.join('')).toBe(text.toWellFormed())
      for (const part of parts) expect(part.isWellFormed()).toBe(true)
    }),
  )
})

test('the byte alphabet is a bijection, and GPT-2 writes a space as Ġ', () => {
  expect(new Set(BYTE_CHARACTERS).size).toBe(256)
  expect(BYTE_CHARACTERS[0x20]).toBe('Ġ')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(fromByteCharacters(toByteCharacters(text)))).toBe(
        text.toWellFormed(),
      )
    }),
  )
})

test('named tokens, sizes and files', () => {
  expect(tokenizer.vocabSize).toBe(tokens.length)
  expect(tokenizer.bosTokenId).toBe(0)
  expect(tokenizer.padTokenId).toBeUndefined()
  expect([...tokenizer.specialTokens]).toEqual([['<|end|>', 0]])
  const again = loadTokenizer({
    tokenizerJson: JSON.stringify(tokenizer.tokenizerJson),
    tokenizerConfig: tokenizer.tokenizerConfig,
  })
  expect(again.encode(' the  7')).toEqual(tokenizer.encode(' the  7'))
})

test('smollm splits digits off before spaces are joined', () => {
  // Two spaces and a digit: GPT-2's own rule would give the second space to the digit.
  const [space, seven] = [' ', '7'].map((text) => tokens.indexOf(toByteCharacters(text)))
  expect(tokenizer.encode('  7')).toEqual([space, space, seven])
  const words = (pre: string) =>
    loadTokenizer(
      tokenizerFromGguf({
        ...metadata,
        'tokenizer.ggml.pre': pre,
        'tokenizer.ggml.tokens': [...tokens.slice(0, -1), 'Ġ7'],
        'tokenizer.ggml.merges': ['Ġ 7'],
      }),
    ).encode('  7')
  expect(words('smollm')).toHaveLength(3)
  expect(words('gpt-2')).toHaveLength(2)
})

test('metadata as a Map, with typed arrays', () => {
  const map = new Map<string, unknown>(
    Object.entries({
      ...metadata,
      'tokenizer.ggml.token_type': Int32Array.from(metadata['tokenizer.ggml.token_type']),
    }),
  )
  expect(tokenizerFromGguf(map)).toEqual(files)
})

test.each([
  [{ 'tokenizer.ggml.model': 'bert' }, 'UNSUPPORTED_TOKENIZER', 'supported: gpt2, llama'],
  [{ 'tokenizer.ggml.pre': 'smolm' }, 'UNSUPPORTED_TOKENIZER', 'known: default, gpt-2'],
  [{ 'tokenizer.ggml.pre': 'constructor' }, 'UNSUPPORTED_TOKENIZER', '"constructor" is not known'],
  [{ 'tokenizer.ggml.tokens': undefined }, 'BAD_TOKENIZER', 'tokenizer.ggml.tokens'],
  [{ 'tokenizer.ggml.tokens': [1, 2] }, 'BAD_TOKENIZER', 'tokenizer.ggml.tokens.0'],
  [{ 'tokenizer.ggml.token_type': [1] }, 'BAD_TOKENIZER', 'has 1 entries for'],
  [{ 'tokenizer.ggml.scores': [0, Number.NaN] }, 'BAD_TOKENIZER', 'tokenizer.ggml.scores.1'],
  [{ 'tokenizer.ggml.scores': [Number.POSITIVE_INFINITY] }, 'BAD_TOKENIZER', 'tokenizer.ggml.scores.0'],
  [{ 'tokenizer.ggml.merges': undefined }, 'BAD_TOKENIZER', 'merges is missing'],
  [{ 'tokenizer.ggml.merges': ['ab'] }, 'BAD_TOKENIZER', 'merges[0]'],
  [{ 'tokenizer.ggml.eos_token_id': 4_000_000_000 }, 'BAD_TOKENIZER', 'token id 4000000000'],
])('bad GGUF metadata %j', (change, code, message) => {
  expect(() => tokenizerFromGguf({ ...metadata, ...change })).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message), hint: expect.any(String) }),
  )
})

const good = files.tokenizerJson

test('without a decoder tokens are joined by spaces, as in Python, streamed or at once', () => {
  const plain = loadTokenizer({ ...files, tokenizerJson: { ...good, decoder: null } })
  const ids = [tokens.indexOf('he'), tokens.indexOf('Ġthe'), 0]
  expect(plain.decode(ids)).toBe('he Ġthe <|end|>')
  const stream = createTextStream(plain)
  expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe('he Ġthe <|end|>')
})

test('an error names the file that it is told', () => {
  const where = 'models/x/tokenizer.json'
  expect(() => loadTokenizer({ tokenizerJson: {}, where })).toThrow(/^models\/x\/tokenizer\.json: the tokenizer is/)
  const unknown = { ...good, decoder: { type: 'Magic' } }
  expect(() => loadTokenizer({ tokenizerJson: unknown, where })).toThrow(/^models\/x\/tokenizer\.json: decoder Magic/)
  expect(() => tokenizerFromGguf({}, 'x.gguf')).toThrow(/^x\.gguf: the tokenizer is broken: tokenizer\.ggml/)
})

test.each<[name: string, json: unknown, code: string, message: string]>([
  ['not JSON', '{"model": ', 'BAD_TOKENIZER', 'tokenizer.json: the tokenizer is broken'],
  ['null', null, 'BAD_TOKENIZER', 'the file'],
  ['no model', {}, 'BAD_TOKENIZER', 'model'],
  [
    'Unigram',
    { model: { type: 'Unigram' } },
    'UNSUPPORTED_TOKENIZER',
    'model type Unigram is not supported; supported: BPE',
  ],
  ['no vocabulary', { ...good, model: { type: 'BPE', merges: [] } }, 'BAD_TOKENIZER', 'vocab'],
  [
    'an id that is huge',
    { ...good, model: { type: 'BPE', vocab: { a: 2 ** 40 }, merges: [] } },
    'BAD_TOKENIZER',
    'vocab.a',
  ],
  [
    'merges of three',
    { ...good, model: { type: 'BPE', vocab: {}, merges: [['a', 'b', 'c']] } },
    'BAD_TOKENIZER',
    'merges',
  ],
  [
    'an unknown pre-tokenizer',
    { ...good, pre_tokenizer: { type: 'Magic' } },
    'UNSUPPORTED_TOKENIZER',
    'Pre-tokenizer Magic',
  ],
  ['an unknown normalizer', { ...good, normalizer: { type: 'Magic' } }, 'BAD_TOKENIZER', 'Magic'],
  ['an unknown decoder', { ...good, decoder: { type: 'Magic' } }, 'UNSUPPORTED_TOKENIZER', 'decoder Magic'],
  [
    'an unknown post-processor',
    { ...good, post_processor: { type: 'Magic' } },
    'UNSUPPORTED_TOKENIZER',
    'post-processor Magic',
  ],
  [
    'a broken pattern',
    { ...good, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } },
    'BAD_TOKENIZER',
    'tokenizer.json: the tokenizer is broken',
  ],
  [
    'a merge into what is no token',
    { ...good, model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: ['a b'] } },
    'BAD_TOKENIZER',
    'model.merges[0] needs "ab"',
  ],
  [
    'a merge of what is no token',
    { ...good, model: { type: 'BPE', vocab: { a: 0, ab: 1 }, merges: [['a', 'b']] } },
    'BAD_TOKENIZER',
    'model.merges[0] needs "b"',
  ],
  [
    'a merge of one token',
    { ...good, model: { type: 'BPE', vocab: { a: 0 }, merges: ['a'] } },
    'BAD_TOKENIZER',
    'model.merges[0] is not a pair',
  ],
  [
    'a pre-tokenizer that grows a text with each step',
    { ...good, pre_tokenizer: { type: 'Sequence', pretokenizers: Array(30).fill({ type: 'ByteLevel' }) } },
    'UNSUPPORTED_TOKENIZER',
    '30 of them ByteLevel',
  ],
  [
    'a decoder that doubles a token with each step',
    {
      ...good,
      decoder: {
        type: 'Sequence',
        decoders: Array(30).fill({ type: 'Replace', pattern: { String: 'a' }, content: 'aa' }),
      },
    },
    'BAD_TOKENIZER',
    'its decoder has 30 steps',
  ],
])('bad tokenizer.json: %s', (_, tokenizerJson, code, message) => {
  expect(() => loadTokenizer({ tokenizerJson })).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) }),
  )
})
