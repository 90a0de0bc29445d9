import { expect, test } from 'vitest'
import { turnsOf } from './turns.test-support.ts'
import { inTurns, Pace } from './turns.ts'

function* steps(count: number): Generator<number, string> {
  for (let i = 0; i < count; i++) yield 10
  return 'done'
}
const never = () => false

test('of several long works one goes on in a turn', async () => {
  const works = Array.from({ length: 5 }, () => inTurns(steps(20), new Pace(10), never))
  expect(await turnsOf(Promise.all(works))).toBeGreaterThan(90)
  expect(await works[0]).toBe('done')
})

test('a short work waits for none', async () => {
  expect(await turnsOf(inTurns(steps(20), new Pace(1_000), never))).toBeLessThan(3)
})

test('a work that nobody waits for ends at its next turn', async () => {
  let asked = 0
  const work = inTurns(steps(20), new Pace(10), () => ++asked === 3)
  await expect(work).rejects.toThrow('nobody waits')
  expect(asked).toBe(3)
})
