import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findJsonFault } from './json-position.ts'

test('the fault finder agrees with JSON.parse on what is JSON', () => {
  const isJson = (text: string) => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }
  const damaged = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '}', ']', ':', '1', ' ', '\\', '\n', 'e', '-', 'null'))
    .map(([text, at, piece]) => {
      const cut = at % (text.length + 1)
      return text.slice(0, cut) + piece + text.slice(cut + 1)
    })
  fc.assert(
    fc.property(fc.oneof(fc.json(), damaged, fc.string()), (text) => {
      expect(findJsonFault(text) === undefined).toBe(isJson(text))
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['{"a": [1, 2', 11, '"," or "]"'],
  ['{\n "a": 1,\n b: 2}', 12, 'a key in double quotes'],
  ['{"a" 1}', 5, '":"'],
  ['[1] 2', 4, 'the end'],
  ['', 0, 'a value'],
])('in %j the fault is at %i', (text, position, expected) => {
  expect(findJsonFault(text)).toEqual({ position, expected })
})
