import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressOf, readAddress } from './address.ts'

test('what is written into an address is read out of it, whatever the texts', () => {
  const part = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.toWellFormed())
  fc.assert(
    fc.property(fc.array(part), fc.dictionary(part, part), (path, query) => {
      const read = readAddress(addressOf(path, query))
      expect(read.path).toEqual(path)
      expect(Object.fromEntries(read.query)).toEqual({ ...query })
    }),
  )
})

test('an address that somebody typed wrongly is still one', () => {
  expect(readAddress('#/answers/%zz?a=1?2')).toEqual({ path: ['answers', '%zz'], query: new URLSearchParams('a=1?2') })
  expect(readAddress('').path).toEqual([])
})
