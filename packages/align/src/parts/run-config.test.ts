import { expect, test } from 'vitest'
import { checkConfig, configDifferences, goesFurther } from './run-config.ts'

const before = { learning_rate: 0.1, max_steps: 40, lora: { rank: 8, alpha: 16 }, logging_steps: 5, names: ['a'] }

test('all differences are found, also in nested values, and nothing else', () => {
  expect(configDifferences(before, { ...before, names: ['a'], seed: undefined })).toEqual([])
  const now = { learning_rate: 0.1, max_steps: 50, lora: { rank: 4 }, logging_steps: 5, names: ['b'], seed: 1 }
  expect(configDifferences(before, now)).toEqual([
    { key: 'max_steps', before: 40, now: 50 },
    { key: 'lora.rank', before: 8, now: 4 },
    { key: 'lora.alpha', before: 16, now: undefined },
    { key: 'names', before: ['a'], now: ['b'] },
    { key: 'seed', before: undefined, now: 1 },
  ])
})

test('what must not change is listed with both values', () => {
  const now = { ...before, learning_rate: 0.2, lora: { rank: 4, alpha: 16 }, seed: 7, logging_steps: 1 }
  expect(() => checkConfig('runs/a', before, now)).toThrow(
    [
      'runs/a was started with another configuration:',
      '  learning_rate: 0.1 in the run, 0.2 now',
      '  lora.rank: 8 in the run, 4 now',
      '  seed: not set in the run, 7 now',
    ].join('\n'),
  )
  expect(() => checkConfig('runs/a', before, now, { mayDiffer: ['learning_rate', 'lora.rank', 'seed'] })).not.toThrow()
})

test('a run may go further, not less far', () => {
  expect(() => checkConfig('a', before, { ...before, max_steps: 41 })).not.toThrow()
  expect(() => checkConfig('a', before, { ...before, max_steps: 39 })).toThrow('max_steps: 40 in the run, 39 now')
  expect(() => checkConfig('a', { max_steps: -1 }, { max_steps: 9 })).toThrow('max_steps: -1 in the run, 9 now')
  expect(goesFurther(before, { ...before, max_steps: 41 })).toBe(true)
  expect(goesFurther(before, { ...before, logging_steps: 41 })).toBe(false)
})
