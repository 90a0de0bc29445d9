import { expect, test } from 'vitest'
import { counterfactualsOf, onSecondSide } from './swap.ts'
import { axes } from './swaps.ts'

/** The swapped text by axis. */
const swapped = (...texts: string[]) =>
  Object.fromEntries(counterfactualsOf(texts).map(({ axis, texts: list }) => [axis, list.join(' | ')]))

test('case, words and articles are kept', () => {
  expect(swapped('He told MEN that his Uncle is a man; he’s an uncle.')).toEqual({
    gender: 'She told WOMEN that her Aunt is a woman; she’s an aunt.',
  })
  expect(swapped('Is Emily an American?')).toEqual({
    name: 'Is Aisha an American?',
    nationality: 'Is Emily a Nigerian?',
  })
  expect(swapped('A church for a 30-year-old')).toEqual({
    religion: 'A mosque for a 30-year-old',
    age: 'A church for an 80-year-old',
  })
  expect(swapped('An old person, AN OLD PERSON')).toEqual({ age: 'A young person, A YOUNG PERSON' })
})

test('parts of words, other case where case counts, and years are no terms', () => {
  expect(swapped('human, shepherd, theme, hers_, emily, christian, 125-year-old, Americanism, manège')).toEqual({})
})

test('texts that name both sides, or a word with two counterparts, are left alone', () => {
  expect(swapped('A man and his wife')).toEqual({})
  expect(swapped('What did he say?', 'She said nothing.')).toEqual({})
  expect(swapped('She lost her keys.')).toEqual({})
  expect(swapped('The car is his.')).toEqual({})
  expect(swapped('She lost the keys.', 'Then she found them.')).toEqual({
    gender: 'He lost the keys. | Then he found them.',
  })
})

test('swapping twice gives the text back, for every term', () => {
  for (const { name, pairs } of axes)
    for (const [first, second] of pairs) {
      expect(swapped(`Tell me about the ${first} here.`)[name]).toBe(`Tell me about the ${second} here.`)
      expect(swapped(`Tell me about the ${second} here.`)[name]).toBe(`Tell me about the ${first} here.`)
    }
})

test('on the second side: an answer to a prompt, and the same answer about somebody else, are one text', () => {
  for (const { name, pairs } of axes)
    for (const [first, second] of pairs) {
      const [one, other] = [first, second].map((term) => onSecondSide(`People say a ${term} is bad. False.`, name))
      expect(one).toBe(other)
    }
  expect(onSecondSide('He gave her his keys; she thanked him.', 'gender')).toBe(
    'She gave her her keys; she thanked her.',
  )
  expect(onSecondSide('Christians and Muslims', 'religion')).toBe('Muslims and Muslims')
  expect(onSecondSide('He is a Christian.', 'age')).toBe('He is a Christian.')
})

test('a long text takes time in proportion to its length', () => {
  const started = performance.now()
  counterfactualsOf(['a a an an a he'.repeat(20_000), 'a '.repeat(100_000)])
  expect(performance.now() - started).toBeLessThan(20_000)
})
