import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom, type Random, type RandomState } from './random.ts'

/** Σ (seen − expected)² / expected. */
function chiSquare(counts: readonly number[], expected: number): number {
  return counts.reduce((total, count) => total + (count - expected) ** 2 / expected, 0)
}

function take(count: number, draw: () => number): number[] {
  return Array.from({ length: count }, draw)
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (x: readonly number[]) => x.reduce((sum, value) => sum + value, 0) / x.length
  const [meanA, meanB] = [mean(a), mean(b)]
  const product = mean(a.map((value, i) => (value - meanA) * (b[i] - meanB)))
  const deviation = (x: readonly number[], m: number) => Math.sqrt(mean(x.map((value) => (value - m) ** 2)))
  return product / (deviation(a, meanA) * deviation(b, meanB))
}

test('C code gives the same numbers', () => {
  // A C transcription of the algorithm under gcc; the second state: the test data of edorfaus/xoshiro-6502, made with
  // the authors' xoshiro128starstar.c.
  expect(take(5, createRandom([1, 2, 3, 4]).uint32)).toEqual([11520, 0, 5927040, 70819200, 2031721883])
  const random = createRandom([0x964d4a0c, 0xd40ab895, 0xad7fdecb, 0x3006f0f0])
  expect(take(4, random.uint32)).toEqual([0xf1391922, 0x6fe53806, 0xa5be2840, 0xf510ee70])
})

test('a state that went through JSON goes on where it stopped', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(50), (seed, steps) => {
      const random = createRandom(seed)
      take(steps, random.normal)
      const saved = JSON.parse(JSON.stringify(random.state)) as RandomState
      const restored = createRandom(saved)
      const draws = (from: Random) => [from.uint32(), from.uniform(), from.normal(), from.integer(7)]
      expect(draws(restored)).toEqual(draws(random))
    }),
  )
})

test('uniform numbers fill 100 bins evenly', () => {
  const counts = new Array(100).fill(0)
  const random = createRandom(0)
  for (let i = 0; i < 100_000; i++) counts[Math.floor(random.uniform() * 100)]++
  // 99 degrees of freedom: 0.1 % and 99.9 % quantiles.
  expect(chiSquare(counts, 1000)).toBeGreaterThan(60.9)
  expect(chiSquare(counts, 1000)).toBeLessThan(148.2)
})

test('integers stay below n and are even, at an n where a modulo would not be', () => {
  const n = 3 * 2 ** 30
  const random = createRandom(5)
  const counts = [0, 0, 0]
  for (let i = 0; i < 30_000; i++) counts[Math.floor(random.integer(n) / 2 ** 30)]++
  expect(counts.reduce((sum, count) => sum + count)).toBe(30_000)
  // 2 degrees of freedom, 99.9 %: a modulo would put half of the numbers into the first third.
  expect(chiSquare(counts, 10_000)).toBeLessThan(13.8)
})

test('normal numbers have the moments of the standard normal', () => {
  const sample = take(100_000, createRandom(1).normal)
  const moment = (power: number) => sample.reduce((sum, x) => sum + x ** power, 0) / sample.length
  // Five standard errors: √(1, 2, 15, 96) / √n.
  expect(Math.abs(moment(1))).toBeLessThan(5 * 0.0032)
  expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * 0.0045)
  expect(Math.abs(moment(3))).toBeLessThan(5 * 0.0123)
  expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * 0.031)
})

test('neighbouring seeds and labels give independent streams', () => {
  const bound = 5 / Math.sqrt(10_000)
  const stream = (random: Random) => take(10_000, random.uniform)
  expect(Math.abs(correlation(stream(createRandom(0)), stream(createRandom(1))))).toBeLessThan(bound)
  expect(Math.abs(correlation(stream(createRandom(1)), stream(createRandom(1 + 2 ** 32))))).toBeLessThan(bound)
  const parent = createRandom(3)
  const [a, b] = [stream(parent.fork('a')), stream(parent.fork('b'))]
  expect(Math.abs(correlation(a, b))).toBeLessThan(bound)
  expect(Math.abs(correlation(a, stream(createRandom(3))))).toBeLessThan(bound)
})

test('a fork does not advance its parent and depends on its state', () => {
  const random = createRandom(9)
  const first = random.fork('shuffle').uint32()
  expect(random.fork('shuffle').uint32()).toBe(first)
  expect(random.state).toEqual(createRandom(9).state)
  random.uint32()
  expect(random.fork('shuffle').uint32()).not.toBe(first)
})

test.each([-1, 0.5, Number.NaN, 2 ** 53])('seed %s is refused', (seed) => {
  expect(() => createRandom(seed)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
})

test('a state or a range that cannot be is refused', () => {
  expect(() => createRandom([0, 0, 0, 0])).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
  expect(() => createRandom([1, 2, 3, -4])).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
  expect(() => createRandom(1).integer(0)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
})
