import { expect, test } from 'vitest'
import { located, PlumblineError } from './errors.ts'

test('an error for the user gets its place, and keeps code, hint and cause; others pass as they are', () => {
  const inner = new PlumblineError('CODE', 'what is wrong.', { hint: 'Next.' })
  const bug = new Error('bug')
  const failing = (error: Error) => () =>
    located('rows.jsonl:3', () => {
      throw error
    })
  expect(failing(inner)).toThrow(
    expect.objectContaining({ code: 'CODE', message: 'rows.jsonl:3: what is wrong.', hint: 'Next.', cause: inner }),
  )
  expect(failing(bug)).toThrow(bug)
  expect(located('x', () => 5)).toBe(5)
})
