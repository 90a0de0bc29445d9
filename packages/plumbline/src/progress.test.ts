import { expect, test } from 'vitest'
import { createProgress, type ProgressOptions } from './progress.ts'

/** Draws 100 steps of `stepMs` each and returns what was written. */
function drawn(isTerminal: boolean, stepMs: number): string[] {
  const written: string[] = []
  let time = 0
  const progress = createProgress(
    'pull',
    100,
    { unit: 'rows' },
    { isTerminal, columns: 60, now: () => time, write: (text) => void written.push(text) },
  )
  for (let i = 0; i < 100; i++) {
    time += stepMs
    progress.advance()
  }
  progress.end()
  progress.end()
  return written
}

test('off a terminal: plain lines, one each 10 %, none closer than a second', () => {
  const slow = drawn(false, 400)
  expect(slow).toHaveLength(11)
  expect(slow[0]).toBe('pull: 0 % (0 of 100 rows)\n')
  expect(slow[1]).toBe('pull: 10 % (10 of 100 rows), 2.5 rows/s, 0:36 left\n')
  expect(slow.at(-1)).toBe('pull: 100 % (100 of 100 rows), 2.5 rows/s\n')
  expect(drawn(false, 1)).toHaveLength(2)
  expect(drawn(false, 6000)).toHaveLength(101)
})

test('on a terminal: one line redrawn at most ten times a second, never wider than the terminal', () => {
  const bars = drawn(true, 20)
  expect(bars).toHaveLength(23)
  for (const bar of bars.slice(0, -1)) {
    expect(bar.startsWith('\r\u001b[K')).toBe(true)
    expect(bar.length - 4).toBeLessThan(60)
  }
  expect(bars[0]).toContain('░ 0 % (0 of 100 rows)')
  expect(bars.at(-2)).toContain('████ 100 %')
  expect(bars.at(-1)).toBe('\n')
})

/** What is written when it is set to each of these, so many milliseconds after the last. */
function written(total: number | undefined, options: ProgressOptions, sets: readonly (readonly [number, number])[]) {
  const lines: string[] = []
  let time = 0
  const target = { isTerminal: false, columns: 80, now: () => time, write: (text: string) => void lines.push(text) }
  const progress = createProgress('work', total, options, target)
  for (const [ms, done] of sets) {
    time += ms
    progress.set(done)
  }
  return lines
}

test('an unknown total shows what is done and the rate', () => {
  expect(written(undefined, { unit: 'bytes' }, [[6000, 12_000_000]])).toEqual([
    'work: 0.0 MB\n',
    'work: 12.0 MB, 2 MB/s\n',
  ])
})

test('rate and remaining time are of the work that is done here', () => {
  const sets = [
    [6000, 6000],
    [6000, 6012],
  ] as const
  expect(written(20_000, { unit: 'steps', from: 6000 }, sets)).toEqual([
    'work: 30 % (6000 of 20000 steps)\n',
    'work: 30 % (6000 of 20000 steps)\n',
    'work: 30 % (6012 of 20000 steps), 1 steps/s, 3:53:08 left\n',
  ])
})

test('what takes longer than a second is told in seconds', () => {
  expect(written(3, { unit: 'steps' }, [[22_740, 1]]).at(-1)).toBe(
    'work: 33 % (1 of 3 steps), 22.7 s/step, 0:46 left\n',
  )
  expect(written(8e6, { unit: 'bytes' }, [[8000, 2e6]]).at(-1)).toBe('work: 25 % (2.0 of 8.0 MB), 4 s/MB, 0:24 left\n')
})
