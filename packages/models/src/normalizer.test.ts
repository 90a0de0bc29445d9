import { expect, test } from 'vitest'
import { createNormalizer } from './normalizer.ts'

const replace = (pattern: string, content: string) => ({ type: 'Replace', pattern: { String: pattern }, content })
const chain = (...normalizers: object[]) => ({ type: 'Sequence', normalizers })

test('does the steps in order, inner sequences too; none is the text itself', () => {
  const normalize = createNormalizer(
    chain({ type: 'NFC' }, chain(replace('b', 'c'), { type: 'Prepend', prepend: '▁' }), replace('c', 'd')),
  )
  expect(normalize('e\u0301b')).toBe('▁éd')
  expect(createNormalizer(null)('e\u0301')).toBe('e\u0301')
})

test('a chain that doubles the text each time is stopped, whatever the text', () => {
  const normalize = createNormalizer(chain(...Array.from({ length: 60 }, () => replace('a', 'aa'))))
  for (const text of ['a', 'a'.repeat(100_000)])
    expect(() => normalize(text)).toThrow(
      expect.objectContaining({ code: 'NORMALIZER_GROWS', hint: expect.stringContaining('tokenizer.json') }),
    )
  expect(normalize('b'.repeat(100_000))).toHaveLength(100_000)
})

test('a text may grow as Unicode makes it grow, and a short one by 1,024 characters', () => {
  // U+FDFA is the longest: 18 characters in NFKD.
  expect(createNormalizer({ type: 'NFKD' })('\uFDFA')).toHaveLength(18)
  expect(createNormalizer(replace('a', 'b'.repeat(200)))('a')).toHaveLength(200)
})

test.each([
  [chain(...Array.from({ length: 65 }, () => ({ type: 'NFC' }))), '65 steps'],
  [replace('a', 'b'.repeat(257)), 'content'],
  [{ type: 'Prepend', prepend: 'b'.repeat(257) }, 'prepend'],
])('refuses a normalizer that could only be a bomb', (config, words) => {
  expect(() => createNormalizer(config)).toThrow(words)
})
