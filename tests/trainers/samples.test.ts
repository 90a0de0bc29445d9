/** What samples.jsonl shows of a model that is fine-tuned, and of a reward model. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { estimateMemory, type TrainerWorld, trainReward, trainSft } from '@plumbline/align'
import { rewardConfig, sftConfig } from '@plumbline/align/config'
import { cacheBytes } from '@plumbline/models'
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

test('what the answers take is part of the memory that is estimated', async () => {
  const model = await tinyModel(join(base, 'memory-model'))
  const parameters = model.parameters.values().reduce((sum, { data }) => sum + data.length, 0)
  const plan = { config: model.config, parameters, trainable: parameters, microBatchTokens: 8, longestRow: 7 }
  const errorOf = async (sample_steps: number, availableBytes: number, use_peft = false) => {
    const config = sftConfig.parse({ max_steps: 1, micro_batch_tokens: 8, sample_steps, use_peft })
    const train = (world: TrainerWorld) => trainSft(config, model, { train: [{ text: 'abcdef' }] }, world)
    const folder = join(base, `memory-${sample_steps}-${availableBytes}`)
    return (await runInFolder(folder, 'sft', config, train, { availableBytes })).error
  }
  const needed = estimateMemory(plan)
  const cache = 4 * (7 + 64) * cacheBytes(model.config)
  expect(await errorOf(0, needed)).toBeUndefined()
  const short = { code: 'MEMORY_SHORT', hint: expect.stringMatching(/ or leave out --sample-steps\.$/) }
  expect(await errorOf(1, needed + cache - 1)).toMatchObject(short)
  expect(await errorOf(1, needed + cache)).toBeUndefined()
  // With an adapter, where the model fits and no copy of it: the other flags would not do.
  expect(
    await errorOf(1, estimateMemory({ ...plan, trainable: 0, microBatchTokens: 1, longestRow: 1 }), true),
  ).toMatchObject(short)
})

type RewardRows = Parameters<typeof trainReward>[2]['train']

async function rewardSamplesOf(name: string, train: RewardRows, evaluation?: RewardRows) {
  const config = rewardConfig.parse({ max_steps: 5, eval_steps: 3, eval_fraction: 0.5 })
  const model = await tinyModel(join(base, `${name}-model`))
  const folder = join(base, name)
  const data = { train, ...(evaluation && { evaluation }) }
  const { error, result } = await runInFolder(folder, 'reward', config, (world) =>
    trainReward(config, model, data, world),
  )
  if (error) throw error
  return { samples: readLines(join(folder, 'samples.jsonl')), evaluation: result!.evaluation! }
}

test('a reward model: the first four held-out pairs with their rewards, whenever it is measured', async () => {
  const pairs = ['a', 'b', 'c', 'd', 'e'].map((prompt) => ({ prompt, chosen: `${prompt}y`, rejected: `${prompt}n` }))
  const { samples, evaluation } = await rewardSamplesOf('pairs', pairs, pairs)
  expect(samples.map(({ global_step }) => global_step)).toEqual([3, 5].flatMap((step) => new Array(8).fill(step)))
  if (evaluation.kind !== 'pairs') throw new Error(evaluation.kind)
  const { chosen, rejected } = evaluation
  for (const i of [0, 1, 2, 3]) {
    const prompt = pairs[i].prompt
    expect(samples.slice(8 + 2 * i, 10 + 2 * i)).toEqual([
      { global_step: 5, prompt, completion: `${prompt}y`, score: chosen[i], side: 'chosen' },
      { global_step: 5, prompt, completion: `${prompt}n`, score: rejected[i], side: 'rejected' },
    ])
  }
})

test('prompts are shown as they stand in the data, whatever rows were left out or are trained on', async () => {
  const asMessages = (content: string, role = 'user') => [{ role, content }]
  const rows = ['a', 'b', 'c', 'd'].map((letter) => ({
    prompt: asMessages(letter),
    chosen: asMessages(`${letter}y`, 'assistant'),
    rejected: asMessages(`${letter}n`, 'assistant'),
  }))
  const equal = { prompt: 'e', chosen: 'same', rejected: 'same' }
  const { samples } = await rewardSamplesOf('held-out', [equal, ...rows])
  const held = samples.filter(({ global_step, side }) => global_step === 5 && side === 'chosen')
  expect(held).toHaveLength(2)
  for (const { prompt, completion } of held)
    expect(rows.map(({ prompt, chosen }) => ({ prompt, completion: chosen }))).toContainEqual({ prompt, completion })
  const rewards = samples.slice(-4).map(({ score }) => score)
  // The rewards of the same answers as evaluation data are these too.
  const shown = rows.filter(({ prompt }) =>
    held.some((sample) => JSON.stringify(sample.prompt) === JSON.stringify(prompt)),
  )
  const trained = rows.filter((row) => !shown.includes(row))
  const given = await rewardSamplesOf('given', trained, [equal, ...shown])
  expect(given.samples.slice(-4).map(({ score }) => score)).toEqual(rewards)
})

test('of answers with scores: their rewards beside the scores that they were given', async () => {
  const rows = ['a', 'b'].map((prompt, i) => ({ prompt, completion: 'x', score: i }))
  const { samples, evaluation } = await rewardSamplesOf('scores', rows, rows)
  if (evaluation.kind !== 'scores') throw new Error(evaluation.kind)
  expect(samples.slice(2)).toEqual(
    rows.map(({ prompt, completion, score: target }, i) => {
      return { global_step: 5, prompt, completion, score: evaluation.rewards[i], target }
    }),
  )
})
