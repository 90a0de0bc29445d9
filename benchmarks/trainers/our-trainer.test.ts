import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { writeTinyModel, writeTinyRewardModel } from '../../tests/trainers/tiny-models.ts'
import { startLineProcess } from '../line-process.ts'
import type { PpoFirstTurn } from './our-trainer.ts'
import type { Turn } from './turns.ts'

const file = fileURLToPath(new URL('./our-trainer.ts', import.meta.url))

test('a turn is as many whole steps as were asked for, the first of them one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'plumbline-bench-'))
  const model = await writeTinyModel(join(folder, 'model'))
  const rewardFolder = await writeTinyRewardModel(join(folder, 'reward'))
  const rows = ['ab', 'cd'].map((content) => ({ prompt: [{ role: 'user', content }] }))
  const config = { per_device_train_batch_size: 2, response_length: 3, num_ppo_epochs: 1, num_mini_batches: 1 }
  const child = startLineProcess(process.execPath, [file])
  try {
    const first = await child.call<PpoFirstTurn>('train_ppo', {
      folder: model,
      rewardFolder,
      output: folder,
      rows,
      config: { ...config, max_steps: 10, logging_steps: 1, save_steps: 0 },
    })
    expect(first.answers.map(({ length }) => length)).toEqual([3, 3])
    expect(first.metrics).toMatchObject({ episode: 2, 'objective/scores': expect.any(Number) })
    const second = await child.call<Turn>('steps', { count: 3 })
    expect(second.metrics.episode).toBe(8)
  } finally {
    await child.close()
    await rm(folder, { recursive: true })
  }
})
