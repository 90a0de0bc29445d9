import fc from 'fast-check'
import { expect, test } from 'vitest'
import { piecesOf, replaceInPieces } from './pieces.ts'

const letters = fc.array(fc.constantFrom('a', 'b', 'c', ' ', '😀'), { maxLength: 60 }).map((found) => found.join(''))
const sizes = fc.integer({ min: 1, max: 12 })

test('pieces are all of a text, and no pair is torn', () => {
  fc.assert(
    fc.property(letters, sizes, (text, size) => {
      const pieces = piecesOf(text, size)
      expect(pieces.join('')).toBe(text)
      expect(pieces.every((piece) => piece.isWellFormed() && piece.length <= size + 1)).toBe(true)
    }),
  )
})

test('replaced in pieces is replaced in the whole, also what looks at the characters around it', () => {
  const expressions: [RegExp, number][] = [
    [/(?<!a)a(?!a)/g, 1],
    [/(?<![a-c])(?:[a-c] ){1,3}[a-c](?![a-c])/g, 7],
    [/ab{0,3}/g, 4],
  ]
  fc.assert(
    fc.property(letters, sizes, fc.constantFrom(...expressions), (text, size, [expression, longest]) => {
      const mark = (match: string) => `[${match}]`
      const given = [...replaceInPieces(piecesOf(text, size), expression, longest, mark)]
      expect(given.join('')).toBe(text.replaceAll(expression, mark))
      expect(given.every((piece) => piece.isWellFormed())).toBe(true)
    }),
    { numRuns: 1000 },
  )
})
