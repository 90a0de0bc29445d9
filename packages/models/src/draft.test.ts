import fc from 'fast-check'
import { expect, test } from 'vitest'
import { draftLengthAfter, lookUpDraft, MOST_DRAFTED } from './draft.ts'

test.each([
  ['what followed three equal tokens', [1, 2, 3, 4, 5, 6, 1, 2, 3], 2, [4, 5]],
  ['the latest of two places', [1, 2, 3, 4, 1, 2, 3, 5, 0, 1, 2, 3], 1, [5]],
  ['three tokens before two, however much later the two stand', [1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 1, [4]],
  ['two tokens where no three are equal', [8, 2, 3, 4, 5, 9, 2, 3], 2, [4, 5]],
  ['a loop, as far as asked', [7, 1, 2, 1, 2], 5, [1, 2, 1, 2, 1]],
  ['one token again and again', [3, 3, 3], 4, [3, 3, 3, 3]],
  ['one token where no two are equal', [1, 2, 3, 2], 2, [3, 2]],
  ['nothing where there is no earlier place', [1, 2], 4, []],
  ['nothing in an empty text', [], 4, []],
])('%s', (_, context, count, expected) => {
  expect(lookUpDraft(context, count)).toEqual(expected)
})

test('a draft goes on as the text does from the latest place of its longest end that is found', () => {
  const contexts = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 })
  fc.assert(
    fc.property(contexts, fc.integer({ min: 1, max: 12 }), (context, count) => {
      const placesOf = (size: number) =>
        context.flatMap((_, start) => {
          const isEarlier = start + size < context.length
          return isEarlier && context.slice(start, start + size).join() === context.slice(-size).join() ? [start] : []
        })
      const size = [3, 2, 1].find((each) => placesOf(each).length > 0)
      const draft = lookUpDraft(context, count)
      expect(draft).toHaveLength(size === undefined ? 0 : count)
      if (size === undefined) return
      const longer = [...context, ...draft]
      const period = context.length - size - placesOf(size).at(-1)!
      draft.forEach((token, i) => {
        expect(token).toBe(longer[context.length + i - period])
      })
    }),
    { seed: 1, numRuns: 2000 },
  )
})

test('the next draft is never empty and never too long, and grows from 1 to the most when all is accepted', () => {
  const lengths = [draftLengthAfter(0)]
  for (let i = 0; i < 5; i++) lengths.push(draftLengthAfter(lengths.at(-1)!))
  expect(lengths).toEqual([1, 2, 4, 7, 7, 7])
  expect(lengths.at(-1)).toBe(MOST_DRAFTED)
  expect(draftLengthAfter(MOST_DRAFTED + 1)).toBe(MOST_DRAFTED)
})
