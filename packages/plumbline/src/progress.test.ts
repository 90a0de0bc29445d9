import { expect, test } from 'vitest'
import { createProgress } from './progress.ts'

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
  expect(slow).toHaveLength(10)
  expect(slow[0]).toBe('pull: 10 % (10 of 100 rows), 2.5 rows/s, 0:36 left\n')
  expect(slow.at(-1)).toBe('pull: 100 % (100 of 100 rows), 2.5 rows/s\n')
  expect(drawn(false, 1)).toHaveLength(1)
  expect(drawn(false, 6000)).toHaveLength(100)
})

test('on a terminal: one line redrawn at most ten times a second, never wider than the terminal', () => {
  const bars = drawn(true, 20)
  expect(bars).toHaveLength(22)
  for (const bar of bars.slice(0, -1)) {
    expect(bar.startsWith('\r\u001b[K')).toBe(true)
    expect(bar.length - 4).toBeLessThan(60)
  }
  expect(bars.at(-2)).toContain('████ 100 %')
  expect(bars.at(-1)).toBe('\n')
})

test('an unknown total shows what is done and the rate', () => {
  const written: string[] = []
  let time = 0
  const target = { isTerminal: false, columns: 80, now: () => time, write: (text: string) => void written.push(text) }
  const progress = createProgress('fetch', undefined, { unit: 'bytes' }, target)
  time = 6000
  progress.set(12_000_000)
  expect(written).toEqual(['fetch: 12.0 MB, 2.0 MB/s\n'])
})
