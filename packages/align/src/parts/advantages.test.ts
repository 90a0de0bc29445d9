import fc from 'fast-check'
import { expect, test } from 'vitest'
import { gae, whiten } from './advantages.ts'
import { expectClose, expectRowsClose, golden } from './golden.test-support.ts'

const number = fc.double({ min: -5, max: 5, noNaN: true })
const unit = fc.double({ min: 0, max: 1, noNaN: true })
/** A row of [reward, value] for each completion, some empty. */
const episodes = fc.array(fc.array(fc.tuple(number, number), { maxLength: 8 }), { maxLength: 6 })
const rewardsOf = (rows: [number, number][][]) => rows.map((row) => row.map(([reward]) => reward))
const valuesOf = (rows: [number, number][][]) => rows.map((row) => row.map(([, value]) => value))
const lengthsOf = (rows: readonly { readonly length: number }[]) => rows.map(({ length }) => length)
const flat = (rows: readonly ArrayLike<number>[]) => rows.flatMap((row) => Array.from(row))
const mean = (numbers: number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length

test('advantages, returns and whitening are TRL’s', () => {
  for (const [i, item] of golden.advantages.entries()) {
    const { advantages, returns } = gae(item.rewards, item.values, item.lengths, item)
    expectRowsClose(advantages, item.advantages, `advantages ${i}`)
    expectRowsClose(returns, item.returns, `returns ${i}`)
    expectRowsClose(whiten(advantages), item.whitened, `whitened ${i}`)
  }
  const { rows, shifted, kept } = golden.whitening
  expectRowsClose(whiten(rows), shifted)
  expectRowsClose(whiten(rows, { shiftMean: false }), kept)
})

test('three tokens by hand', () => {
  const { advantages, returns } = gae([[0, -0.02, 1]], [[0.1, 0.2, 0.3]], [3], { gamma: 1, gaeLambda: 0.95 })
  expectClose(advantages[0], [0.80775, 0.745, 0.7])
  expectClose(returns[0], [0.90775, 0.945, 1])
  expectClose(whiten(advantages)[0], [1.05017, -0.109329, -0.940842])
})

test('a reward of 1 at the end, discounted by nothing, is the return of every token', () => {
  for (const row of [
    [0, 0, 1],
    [0, 0, 1, Number.NaN],
  ])
    expect(gae([row], [[0, 0, 0, 9]], [3], { gamma: 1, gaeLambda: 1 }).returns[0]).toEqual(Float64Array.of(1, 1, 1))
})

test('with λ = 1 an advantage is the discounted rewards to come minus the value', () => {
  fc.assert(
    fc.property(episodes, unit, (rows, gamma) => {
      const [rewards, values] = [rewardsOf(rows), valuesOf(rows)]
      const { advantages } = gae(rewards, values, lengthsOf(rows), { gamma, gaeLambda: 1 })
      const expected = rewards.map((row, i) =>
        row.map((_, t) => row.slice(t).reduce((sum, reward, k) => sum + gamma ** k * reward, 0) - values[i][t]),
      )
      expectRowsClose(advantages, expected)
    }),
  )
})

test('with λ = 0 an advantage looks one token ahead, and past the end the value is 0', () => {
  fc.assert(
    fc.property(episodes, unit, (rows, gamma) => {
      const [rewards, values] = [rewardsOf(rows), valuesOf(rows)]
      const { advantages } = gae(rewards, values, lengthsOf(rows), { gamma, gaeLambda: 0 })
      const expected = rewards.map((row, i) =>
        row.map((reward, t) => reward + gamma * (values[i][t + 1] ?? 0) - values[i][t]),
      )
      expectRowsClose(advantages, expected)
    }),
  )
})

test('what stands after a row changes nothing', () => {
  const padding = fc.array(fc.double(), { maxLength: 4 })
  fc.assert(
    fc.property(episodes, padding, unit, unit, (rows, pad, gamma, gaeLambda) => {
      const [rewards, values] = [rewardsOf(rows), valuesOf(rows)]
      const lengths = lengthsOf(rows)
      const padded = (list: number[][]) => list.map((row) => [...row, ...pad])
      const plain = gae(rewards, values, lengths, { gamma, gaeLambda })
      expect(gae(padded(rewards), padded(values), lengths, { gamma, gaeLambda })).toEqual(plain)
    }),
  )
})

test('whitened numbers have variance 1, and mean 0 or their own', () => {
  const rows = fc.array(fc.array(number, { maxLength: 6 }), { minLength: 1, maxLength: 5 })
  const spread = (numbers: number[]) => mean(numbers.map((x) => (x - mean(numbers)) ** 2)) > 0.01
  fc.assert(
    fc.property(rows, fc.boolean(), (list, shiftMean) => {
      const before = flat(list)
      fc.pre(before.length > 1 && spread(before))
      const whitened = whiten(list, { shiftMean })
      expect(lengthsOf(whitened)).toEqual(lengthsOf(list))
      const after = flat(whitened)
      expect(mean(after)).toBeCloseTo(shiftMean ? 0 : mean(before), 9)
      const squares = after.reduce((sum, x) => sum + (x - mean(after)) ** 2, 0)
      expect(squares / (after.length - 1)).toBeCloseTo(1, 5)
    }),
  )
})

test('whitening survives equal numbers, a single one, and none', () => {
  expect(whiten([[2, 2], [2]])).toEqual([Float64Array.of(0, 0), Float64Array.of(0)])
  expect(whiten([[], [3]], { shiftMean: false })).toEqual([Float64Array.of(), Float64Array.of(3)])
  expect(whiten([[], []])).toEqual([Float64Array.of(), Float64Array.of()])
})

test('rows that do not fit are an error', () => {
  const options = { gamma: 1, gaeLambda: 1 }
  expect(() => gae([[1]], [[1], [1]], [1], options)).toThrow('gae: values has 2 rows, there are 1 sequences.')
  expect(() => gae([[1, 2]], [[1]], [2], options)).toThrow('gae: row 0 of values has 1 numbers for 2 tokens.')
})
