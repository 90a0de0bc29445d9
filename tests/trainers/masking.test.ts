/** Which tokens count, beside numbers that were computed another way. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rewardModelConfig, trainSft } from '@plumbline/align'
import { sftConfig, sftRowSchema } from '@plumbline/align/config'
import {
  createRewardScorer,
  createScorer,
  encodeChatCompletion,
  loadLanguageModel,
  type PromptCompletion,
} from '@plumbline/models'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { firstRewards, pairs, reward } from './reward-runs.ts'
import { hashOf, runInFolder } from './run-trainer.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-masking-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))
const modelPath = join(base, 'model')
beforeAll(() => writeTinyModel(modelPath))

const load = () => loadLanguageModel(modelPath)
let count = 0
const newPath = () => join(base, String(count++))

type SftRows = Parameters<typeof trainSft>[2]['train']
/** One optimizer step over all rows. */
async function sftStep(train: SftRows, changes: Record<string, unknown> = {}) {
  const config = sftConfig.parse({ max_steps: 1, logging_steps: 1, per_device_train_batch_size: 64, ...changes })
  const model = await load()
  const run = await runInFolder(newPath(), 'sft', config, (world) => trainSft(config, model, { train }, world))
  if (run.error) throw run.error
  return { loss: run.metrics[0].loss, last: run.metrics.at(-1)!.loss, weights: hashOf(model.parameters) }
}

/** −mean log p of the completion tokens, by the scorer. */
async function lossOf(rows: readonly PromptCompletion[]): Promise<number> {
  const { config, parameters } = await load()
  const scorer = await createScorer(config, parameters, { threads: 1 })
  const logprobs = (await scorer.logprobs(rows)).flatMap((row) => Array.from(row))
  await scorer.dispose()
  return -logprobs.reduce((sum, x) => sum + x, 0) / logprobs.length
}

test('SFT learns the completion and its end token, and nothing of the prompt', async () => {
  const { tokenizer } = await load()
  const rows = [
    { prompt: 'ab', completion: 'c' },
    { prompt: 'a long prompt', completion: 'and a long answer' },
  ]
  const encoded = rows.map(({ prompt, completion }) => ({
    promptIds: tokenizer.encode(prompt),
    completionIds: [...tokenizer.encode(completion), tokenizer.eosTokenId!],
  }))
  const { loss } = await sftStep(rows)
  expect(loss).toBeCloseTo(await lossOf(encoded), 5)
})

test('the weight of a row counts its tokens so many times, and is above 0', async () => {
  const [first, second] = [
    { prompt: 'ab', completion: 'c' },
    { prompt: 'a long prompt', completion: 'and a long answer' },
  ]
  const { loss } = await sftStep([{ ...first, weight: 3 }, second])
  expect(loss).toBeCloseTo((await sftStep([first, first, first, second])).loss, 5)
  expect(Math.abs(loss - (await sftStep([first, second])).loss)).toBeGreaterThan(0.01)
  for (const weight of [0, -1, Number.NaN]) expect(sftRowSchema.safeParse({ ...first, weight }).success).toBe(false)
})

test('SFT learns every turn of the assistant with its end, and no other', async () => {
  const { tokenizer } = await load()
  const turns = [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: 'ho' },
    { role: 'user', content: 'why?' },
    { role: 'assistant', content: 'yes' },
  ]
  const parts = [1, 3].map((turn) => encodeChatCompletion(tokenizer, turns.slice(0, turn), [turns[turn]]))
  const { loss, weights } = await sftStep([{ messages: turns }])
  expect(loss).toBeCloseTo(await lossOf(parts), 5)
  const more = await sftStep([{ messages: [...turns, { role: 'user', content: 'and?' }] }])
  expect(more).toMatchObject({ loss, weights })
})

test('SFT on text learns all but the first token', async () => {
  const { tokenizer } = await load()
  const [first, ...rest] = [...tokenizer.encode('plain text'), tokenizer.eosTokenId!]
  const { loss } = await sftStep([{ text: 'plain text' }])
  expect(loss).toBeCloseTo(await lossOf([{ promptIds: [first], completionIds: rest }]), 5)
})

test('packed rows never see each other', async () => {
  const rows = ['ab', 'cdef', 'g', 'hijklm'].map((prompt) => ({ prompt, completion: `${prompt}${prompt}` }))
  const plain = await sftStep(rows)
  const packed = await sftStep(rows, { packing: true, max_length: 60 })
  expect(packed.loss).toBeCloseTo(plain.loss, 5)
})

test('rows cut to their length learn from what is left', async () => {
  const { tokenizer } = await load()
  const { loss } = await sftStep([{ prompt: 'abc', completion: 'defgh' }], { max_length: 5 })
  const [promptIds, completionIds] = [tokenizer.encode('abc'), tokenizer.encode('de')]
  expect(loss).toBeCloseTo(await lossOf([{ promptIds, completionIds }]), 5)
})

test('passes over openings come last, and learn from the first tokens of every turn of the assistant', async () => {
  const { tokenizer } = await load()
  const [ask, say, more, end] = [
    { role: 'user', content: 'ab' },
    { role: 'assistant', content: 'cdefg' },
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: 'jklmn' },
  ]
  const rows = [
    { prompt: 'abc', completion: 'defgh' },
    { prompt: 'x', completion: 'y' },
    { messages: [ask, say, more, end] },
  ]
  // A step this small changes nothing that can be seen.
  const { last } = await sftStep(rows, { max_steps: 2, opening_epochs: 1, opening_tokens: 2, learning_rate: 1e-12 })
  const cut = ({ promptIds, completionIds }: PromptCompletion) => ({
    promptIds,
    completionIds: completionIds.slice(0, 2),
  })
  const opened = [
    { promptIds: tokenizer.encode('abc'), completionIds: tokenizer.encode('de') },
    { promptIds: tokenizer.encode('x'), completionIds: [...tokenizer.encode('y'), tokenizer.eosTokenId!] },
    cut(encodeChatCompletion(tokenizer, [ask], [say])),
    cut(encodeChatCompletion(tokenizer, [ask, say, more], [end])),
  ]
  expect(last).toBeCloseTo(await lossOf(opened), 5)
})

test('a reward model whose head is zero starts at ln 2, and a tie is a miss', async () => {
  const path = newPath()
  await writeTinyRewardModel(path, { change: (parameters) => parameters.get('score.weight')!.data.fill(0) })
  const { metrics } = await reward(path)
  expect(metrics[0]).toMatchObject({ loss: expect.closeTo(Math.LN2, 6), accuracy: 0, margin: 0, mean_reward: 0 })
})

/** What the model at `path` prefers each chosen answer by. */
async function marginsOf(path: string): Promise<number[]> {
  return (await firstRewards(path)).map(([chosen, rejected]) => chosen - rejected)
}

test('the first reward loss is that of scores at the last token of prompt, answer and end token', async () => {
  const path = newPath()
  await writeTinyRewardModel(path)
  const margins = await marginsOf(path)
  const meanOf = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
  const { metrics } = await reward(path)
  expect(metrics[0].margin).toBeCloseTo(meanOf(margins), 4)
  expect(metrics[0].loss).toBeCloseTo(meanOf(margins.map((margin) => Math.log1p(Math.exp(-margin)))), 4)
  expect(metrics[0].accuracy).toBeCloseTo(meanOf(margins.map((margin) => Number(margin > 0))), 6)
})

test('passes over contrasts come last and are of these pairs alone', async () => {
  const path = newPath()
  await writeTinyRewardModel(path)
  const margins = await marginsOf(path)
  const rows = pairs.map((pair, i) => ({ ...pair, contrast: i > 1 }))
  // A step this small changes nothing that can be seen.
  const { metrics } = await reward(path, { max_steps: 2, contrast_epochs: 1, learning_rate: 1e-12 }, rows)
  expect(metrics[0].margin).toBeCloseTo(margins.reduce((sum, x) => sum + x, 0) / margins.length, 4)
  expect(metrics[1].margin).toBeCloseTo((margins[2] + margins[3]) / 2, 4)
  const best = { contrast_epochs: 1, load_best_model_at_end: true, eval_fraction: 0.5, eval_steps: 1, save_steps: 1 }
  await expect(reward(path, best, rows)).rejects.toMatchObject({ code: 'BEST_BEFORE_LAST' })
})

test('a conversation is scored at the token that ends the answer, where PPO scores it, not at the line feed behind', async () => {
  const path = newPath()
  await writeTinyRewardModel(path)
  const model = await loadLanguageModel(path)
  const { config, parameters, tokenizer } = model
  const say = (role: string, content: string) => [{ role, content }]
  const conversations = pairs.map(({ prompt, chosen, rejected }) => {
    return { prompt: say('user', prompt), chosen: say('assistant', chosen), rejected: say('assistant', rejected) }
  })
  const scorer = await createRewardScorer(config, parameters, { threads: 1 })
  let margin = 0
  for (const { prompt, chosen, rejected } of conversations) {
    const rolledOut = ([{ content }]: typeof chosen) => [
      ...tokenizer.encodeChat(prompt, { addGenerationPrompt: true }),
      ...tokenizer.encode(content),
      ...model.stopTokenIds,
    ]
    const [best, worst] = await scorer.rewards([rolledOut(chosen), rolledOut(rejected)])
    margin += (best - worst) / conversations.length
  }
  await scorer.dispose()
  const { metrics } = await reward(path, {}, conversations)
  expect(metrics[0].margin).toBeCloseTo(margin, 4)
})

test('the mean and deviation that are stored normalise the scores of the training answers', async () => {
  const { model, result } = await reward(modelPath, { max_steps: 5 })
  const { config, tokenizer } = model
  const stored = rewardModelConfig(model.rawConfig, result) as { mean: number; std: number; architectures: string[] }
  expect(stored.architectures).toEqual(['LlamaForSequenceClassification'])
  const scorer = await createRewardScorer(config, result.parameters, { threads: 1 })
  const answers = pairs.flatMap(({ prompt, chosen, rejected }) => [prompt + chosen, prompt + rejected])
  const scores = await scorer.rewards(answers.map((text) => [...tokenizer.encode(text), tokenizer.eosTokenId!]))
  await scorer.dispose()
  const normalized = scores.map((score) => (score - stored.mean) / stored.std)
  expect(normalized.reduce((sum, x) => sum + x, 0) / 8).toBeCloseTo(0, 4)
  expect(normalized.reduce((sum, x) => sum + x * x, 0) / 8).toBeCloseTo(1, 4)
})
