/** Part of a pass leaves rows out. Above frozen layers nothing is computed of them, and all that is asked for is there. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { trainReward, trainSft } from '@plumbline/align'
import { rewardConfig, sftConfig } from '@plumbline/align/config'
import { loadLanguageModel } from '@plumbline/models'
import { afterAll, expect, test } from 'vitest'
import { runInFolder } from './run-trainer.ts'
import { writeTinyModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-unread-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

const aboveFrozen = { use_peft: true, lora_dropout: 0, lora_skip_share: 0.5, per_device_train_batch_size: 10 }
const letters = (i: number) => `${'abcdefghijklm'[i % 13]}${'abcdefghijklm'[Math.floor(i / 13)]}`
const prompts = Array.from({ length: 169 }, (_, i) => letters(i))

// 152 rows to learn from: 140 are more than the scale of the rewards needs, 20 are fewer.
test.each([14, 2])('a reward model after %i steps of ten rows, with held-out rows and a scale', async (max_steps) => {
  const rows = prompts.map((prompt) => ({ prompt, chosen: `${prompt}a`, rejected: 'b' }))
  const config = rewardConfig.parse({ ...aboveFrozen, max_steps, eval_fraction: 0.1 })
  const model = await loadLanguageModel(await writeTinyModel(join(base, `reward-model-${max_steps}`)))
  const { result, error } = await runInFolder(join(base, `reward-${max_steps}`), 'reward', config, (world) =>
    trainReward(config, model, { train: rows }, world),
  )
  expect(error).toBeUndefined()
  expect(result?.steps).toBe(max_steps)
  expect(Number.isFinite(result?.mean)).toBe(true)
  expect(result?.std).toBeGreaterThan(0)
  expect(result?.evaluation).toBeDefined()
})

test('fine-tuning whose whole passes see some rows, and whose openings see all', async () => {
  const rows = prompts.map((prompt) => ({ prompt, completion: `${prompt}${prompt}` }))
  const config = sftConfig.parse({ ...aboveFrozen, num_train_epochs: 0.3, opening_epochs: 1, opening_tokens: 1 })
  const model = await loadLanguageModel(await writeTinyModel(join(base, 'sft-model')))
  const { result, error } = await runInFolder(join(base, 'sft'), 'sft', config, (world) =>
    trainSft(config, model, { train: rows }, world),
  )
  expect(error).toBeUndefined()
  expect(result?.steps).toBe(6 + 17)
})
