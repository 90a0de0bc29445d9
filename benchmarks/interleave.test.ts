import { expect, test } from 'vitest'
import { type Figure, figureLine } from './figure.ts'
import { interleave, median, spread } from './interleave.ts'

test('sides take turns, warm-ups are not counted, an absent side has no numbers', async () => {
  const order: string[] = []
  const side = (name: string) => async () => order.push(name)
  const results = await interleave({ a: side('a'), b: side('b'), c: undefined }, { runs: 2, warmups: 1, settleMs: 0 })
  expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
  expect(results).toEqual({ a: [3, 5], b: [4, 6], c: [] })
})

test('median and spread', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeNaN()
  expect(spread([2, 4, 5])).toBe(0.75)
})

test('the ratio is above 1 where we are better, whichever way the unit runs', () => {
  const slower: Figure = { name: 'x', title: 'x', unit: 's', better: 'lower', goal: { ratio: 1 } }
  expect(figureLine(slower, { ours: [2], peer: [1], peerName: 'p' })).toMatchObject({ ratio: 0.5, met: false })
  const faster: Figure = { ...slower, unit: 'tokens/s', better: 'higher', goal: { ratio: 2 } }
  expect(figureLine(faster, { ours: [2], peer: [1], peerName: 'p' })).toMatchObject({ ratio: 2, met: true })
})

test('without a peer a goal on our own number still stands, one on the ratio is open', () => {
  const figure: Figure = { name: 'x', title: 'x', unit: 'GB', better: 'lower', goal: { atMost: 6 } }
  const alone = { ours: [5, 7, 6], peer: [], peerName: 'p' }
  const nothing = { peer: null, peer_name: null, ratio: null }
  expect(figureLine(figure, alone)).toMatchObject({ ...nothing, ours: 6, runs: 3, met: true })
  expect(figureLine({ ...figure, goal: { ratio: 1 } }, alone)).toMatchObject({ ...nothing, met: null })
})
