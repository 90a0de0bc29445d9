import { PlumblineError } from '@plumbline/contracts'
import { expect, test } from 'vitest'
import { asOfJob } from './align-stages.ts'

test.each(['RUN_NOT_WRITABLE', 'CHECKPOINT_FAILED'])(
  'a disk that is full in the middle of a stage (%s): the same command goes on',
  (code) => {
    const error = new PlumblineError(code, 'the disk is full.', { hint: 'Free some space; --resume goes on.' })
    expect(asOfJob(error, 'reward')).toMatchObject({
      code,
      message: 'reward model: the disk is full.',
      hint: expect.stringMatching(/the same command goes on from the newest checkpoint\.$/),
      cause: error,
    })
  },
)

test('an error whose hint holds in the main job too stays as it is', () => {
  const error = new PlumblineError('DATA_MIXED', 'rows of both kinds.', { hint: 'Give one kind.' })
  expect(asOfJob(error, 'sft')).toBe(error)
  expect(asOfJob('interrupted', 'sft')).toBe('interrupted')
})
