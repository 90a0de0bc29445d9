import { readFileSync } from 'node:fs'
import { createTextStream, loadTokenizer, openGguf, type Tokenizer, tokenizerFromGguf } from '@plumbline/models'
import { describe, expect, test } from 'vitest'
import { smollm2Path } from '../e2e/smollm2.ts'

// Numbers by Python's tokenizers; tokenizer.py says how they are made.

interface Row {
  ids: number[]
  parsed?: number[]
  skipped?: string
  decoded?: string
}
interface Decode {
  ids: number[]
  text: string
  skipped: string
}

const read = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'))
const plain = { addSpecialTokens: false }

function expectSame(tokenizer: Tokenizer, text: string, row: Row) {
  const ids = tokenizer.encode(text, plain)
  expect(ids, JSON.stringify(text)).toEqual(row.ids)
  const parsed = tokenizer.encode(text, { ...plain, parseSpecial: true })
  expect(parsed, JSON.stringify(text)).toEqual(row.parsed ?? row.ids)
  expect(tokenizer.decode(ids)).toBe(row.decoded ?? text)
  if (row.skipped !== undefined) expect(tokenizer.decode(parsed, { skipSpecialTokens: true })).toBe(row.skipped)
}

function expectDecodes(tokenizer: Tokenizer, decodes: Decode[]) {
  for (const { ids, text, skipped } of decodes) {
    expect(tokenizer.decode(ids), JSON.stringify(ids)).toBe(text)
    expect(tokenizer.decode(ids, { skipSpecialTokens: true }), JSON.stringify(ids)).toBe(skipped)
    const stream = createTextStream(tokenizer)
    expect(ids.map((id) => stream.push(id)).join('') + stream.end(), JSON.stringify(ids)).toBe(text)
  }
}

describe('a small vocabulary', () => {
  const golden = read('tokenizer-tiny.json')
  const strings: string[] = golden.strings
  const byteLevel = (pre: string) => {
    const { tokens, merges } = golden.byteLevel
    const token_type = tokens.map((token: string) =>
      token.startsWith('<|') && token.length > 2 ? 3 : token === '<user_defined>' ? 4 : 1,
    )
    const fields = {
      model: 'gpt2',
      pre,
      tokens,
      merges,
      token_type,
      bos_token_id: 1,
      eos_token_id: 2,
      add_bos_token: false,
    }
    return loadTokenizer(tokenizerFromGguf(prefixed(fields)))
  }

  test.each(Object.keys(golden.rows))('pre = %s', (pre) => {
    const tokenizer = byteLevel(pre)
    for (const [i, text] of strings.entries()) expectSame(tokenizer, text, golden.rows[pre][i] ?? golden.rows.smollm[i])
  })

  test('broken ids decode alike', () => expectDecodes(byteLevel('smollm'), golden.decodes))

  test.each<{ name: string; json: object; rows: [number[], number[], string][] }>(golden.variants.made)(
    '$name',
    (variant) => {
      const tokenizer = loadTokenizer({ tokenizerJson: variant.json })
      for (const [i, [parsed, unparsed, decoded]] of variant.rows.entries()) {
        const text: string = golden.variants.samples[i]
        expect(tokenizer.encode(text, { parseSpecial: true }), JSON.stringify(text)).toEqual(parsed)
        expect(tokenizer.encode(text, plain), JSON.stringify(text)).toEqual(unparsed)
        expect(tokenizer.decode(parsed), JSON.stringify(text)).toBe(decoded)
      }
    },
  )

  test('SentencePiece from scores', () => {
    const { tokens, scores, rows, decodes } = golden.sentencePiece
    const token_type = tokens.map((_: string, id: number) => (id < 3 ? 3 : id < 259 ? 6 : 1))
    const fields = { model: 'llama', tokens, scores, token_type, bos_token_id: 1, eos_token_id: 2, unknown_token_id: 0 }
    const tokenizer = loadTokenizer(tokenizerFromGguf(prefixed(fields)))
    for (const [i, row] of rows.entries()) expectSame(tokenizer, strings[i], row)
    expectDecodes(tokenizer, decodes)
    expect(tokenizer.encode('a')[0]).toBe(1) // BOS, as Llama's files mean it when they say nothing
  })
})

function prefixed(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [`tokenizer.ggml.${name}`, value]))
}

describe('SmolLM2', async () => {
  const { metadata, close } = await openGguf(await smollm2Path())
  await close()
  const tokenizer = loadTokenizer(tokenizerFromGguf(metadata))

  test('several thousand strings', () => {
    const { strings, rows, decodes } = read('tokenizer-smollm2.json')
    for (const [i, text] of strings.entries()) expectSame(tokenizer, text, rows[i])
    expectDecodes(tokenizer, decodes)
  })

  test('conversations', () => {
    for (const { messages, addGenerationPrompt, parsed, ids } of read('tokenizer-smollm2.json').chats) {
      expect(tokenizer.encodeChat(messages, { addGenerationPrompt })).toEqual(ids)
      expect(tokenizer.encodeChat(messages, { addGenerationPrompt, parseSpecial: true })).toEqual(parsed)
    }
  })
})
