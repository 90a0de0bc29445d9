/** What samples.jsonl shows of a model that is fine-tuned. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { trainSft } from '@plumbline/align'
import { sftConfig } from '@plumbline/align/config'
import { afterAll, expect, test } from 'vitest'
import { readLines, runInFolder } from './run-trainer.ts'
import { tinyModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-samples-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

async function samplesOf(name: string, changes: Record<string, unknown>, evaluation?: { text: string }[]) {
  const train = ['ab', 'cd', 'ef', 'gh', 'ij'].map((prompt) => ({ prompt, completion: `${prompt}!` }))
  const config = sftConfig.parse({ max_steps: 60, learning_rate: 0.02, per_device_train_batch_size: 5, ...changes })
  const model = await tinyModel(join(base, `${name}-model`))
  const folder = join(base, name)
  const data = { train, ...(evaluation && { evaluation }) }
  const { error } = await runInFolder(folder, 'sft', config, (world) => trainSft(config, model, data, world))
  if (error) throw error
  return readLines(join(folder, 'samples.jsonl'))
}

test.each([{ use_peft: false }, { use_peft: true, lora_dropout: 0 }])(
  'answers to the first four rows, at intervals and at the end: what the model has learned shows, %o',
  async (changes) => {
    const samples = await samplesOf(`peft-${changes.use_peft}`, { sample_steps: 25, ...changes })
    expect(samples.map(({ global_step }) => global_step)).toEqual(
      [25, 50, 60].flatMap((step) => new Array(4).fill(step)),
    )
    for (const [i, prompt] of ['ab', 'cd', 'ef', 'gh'].entries())
      expect(samples[8 + i]).toEqual({ global_step: 60, prompt, completion: `${prompt}!`, finish_reason: 'stop' })
  },
)

test('answers to held-out rows where there are some; none unless asked for', async () => {
  const held = await samplesOf('held', { max_steps: 1, sample_steps: 1 }, [{ text: 'xyz' }])
  expect(held).toEqual([{ global_step: 1, prompt: 'x', completion: expect.any(String), finish_reason: 'length' }])
  expect(await samplesOf('none', { max_steps: 1 })).toEqual([])
})
