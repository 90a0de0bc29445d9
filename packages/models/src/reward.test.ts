import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compile, createParameter, type Parameter } from '@plumbline/engine'
import { describe, expect, test } from 'vitest'
import { forwardFeeds } from './batch.ts'
import { parseModelConfig } from './config.ts'
import { createDecoder } from './decoder.ts'
import { buildForward, checkLanguageModel } from './forward.ts'
import { loadModelFolder } from './model-folder.ts'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'
import { checkRewardable, checkRewardModel, createRewardScorer } from './reward.ts'
import { createScorer } from './score.ts'

const golden = fileURLToPath(new URL('../../../tests/golden/reward-model', import.meta.url))

function scoreHead(shape: number[]): Parameter {
  const head = createParameter('score.weight', shape)
  for (let i = 0; i < head.data.length; i++) head.data[i] = Math.sin(i + 1)
  return head
}

test('rewards of a folder that transformers wrote equal its own', async () => {
  const loaded = await loadModelFolder(golden)
  const expected = JSON.parse(readFileSync(`${golden}/expected.json`, 'utf8')) as { ids: number[][]; rewards: number[] }
  const scorer = await createRewardScorer(parseModelConfig(loaded.config), loaded.parameters)
  const rewards = await scorer.rewards(expected.ids)
  expected.rewards.forEach((reward, row) => {
    expect(rewards[row]).toBeCloseTo(reward, 4)
  })
  await scorer.dispose()
})

describe.each(Object.entries(randomModelConfigs))('%s', (_name, raw) => {
  const model = randomModel(raw)
  const head = scoreHead([1, model.config.hiddenSize])
  const parameters = new Map(model.parameters).set(head.name, head)
  const sequences = [[5, 9, 11, 30], [7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [44, 44]]

  test('the reward is the score head times the last hidden state, in any batch and order', async () => {
    const scorer = await createRewardScorer(model.config, parameters)
    const told: number[] = []
    const rewards = await scorer.rewards(sequences, { onScored: (done) => told.push(done) })
    expect(told.at(-1)).toBe(sequences.length)
    const forward = buildForward(model.config)
    const program = await compile(forward.graph, { hidden: forward.hidden })
    for (const [row, sequence] of sequences.entries()) {
      const { hidden } = await program.run({
        ...Object.fromEntries(model.parameters),
        ...forwardFeeds(model.config, [sequence]),
      })
      const last = (hidden.data as Float32Array).slice(-model.config.hiddenSize)
      const product = last.reduce((sum, value, i) => sum + value * head.data[i], 0)
      expect(rewards[row]).toBeCloseTo(product, 4)
    }
    const reversed = await scorer.rewards(sequences.toReversed())
    reversed.reverse().forEach((reward, row) => {
      expect(reward).toBeCloseTo(rewards[row], 5)
    })
    await program.dispose()
    await scorer.dispose()
  })
})

test('the caller names the rows', () => {
  const { config } = randomModel(randomModelConfigs.llama)
  expect(() => checkRewardable(config, [[4], []], (index) => `rows.jsonl:${index + 7}`)).toThrow(
    expect.objectContaining({
      code: 'EMPTY_PROMPT',
      message: 'rows.jsonl:8 has no tokens to score.',
      hint: expect.any(String),
    }),
  )
})

test('sequences that cannot be scored are named', async () => {
  const { config, parameters } = randomModel(randomModelConfigs.llama)
  const head = scoreHead([1, config.hiddenSize])
  const scorer = await createRewardScorer(config, new Map(parameters).set(head.name, head))
  await expect(scorer.rewards([[4], []])).rejects.toMatchObject({
    code: 'EMPTY_PROMPT',
    message: expect.stringContaining('row 2'),
  })
  const long = Array.from({ length: 65 }, () => 4)
  await expect(scorer.rewards([[4], [4], long])).rejects.toMatchObject({
    code: 'SEQUENCE_TOO_LONG',
    message: 'row 3 has 65 tokens; the model has 64 positions.',
  })
  expect(await scorer.rewards([])).toEqual([])
  const stopping = new AbortController()
  // 64 of 64 tokens in more batches than one: the first goes on, the second does not begin.
  const several = scorer.rewards(new Array(64).fill(long.slice(1)), { signal: stopping.signal })
  stopping.abort(new Error('nobody waits'))
  await expect(several).rejects.toThrow('nobody waits')
  await scorer.dispose()
})

test('a model with a score head is no language model, whatever its labels', async () => {
  const { config, parameters } = randomModel(randomModelConfigs.llama)
  expect(() => checkLanguageModel(parameters)).not.toThrow()
  for (const labels of [1, 3])
    expect(() =>
      checkLanguageModel(new Map(parameters).set('score.weight', scoreHead([labels, 64])), '--model'),
    ).toThrow(
      expect.objectContaining({
        code: 'NOT_A_LANGUAGE_MODEL',
        message: expect.stringMatching(/^--model has a score\.weight: it is a reward model/),
      }),
    )
  const rewardModel = new Map(parameters).set('score.weight', scoreHead([1, 64]))
  const refused = { code: 'NOT_A_LANGUAGE_MODEL' }
  await expect(createDecoder(config, rewardModel, { slots: 1, length: 8 })).rejects.toMatchObject(refused)
  await expect(createScorer(config, rewardModel)).rejects.toMatchObject(refused)
})

test('what is no reward model is refused with the reason', async () => {
  const { config, parameters } = randomModel(randomModelConfigs.llama)
  const refusal = (shape?: number[]) =>
    createRewardScorer(config, shape ? new Map(parameters).set('score.weight', scoreHead(shape)) : parameters)
  const code = 'NOT_A_REWARD_MODEL'
  await expect(refusal()).rejects.toMatchObject({ code, message: expect.stringContaining('no score.weight') })
  await expect(refusal([3, 64])).rejects.toMatchObject({
    code,
    message: expect.stringContaining('[3, 64], not [1, 64]'),
  })
  await expect(refusal([1, 32])).rejects.toMatchObject({ code, message: expect.stringContaining('[1, 32]') })
  expect(() => checkRewardModel(config, parameters, 'runs/sft/model')).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(/^runs\/sft\/model has no score\.weight/),
      hint: expect.stringContaining('plumb reward --data'),
    }),
  )
})
