/** Ten steps of supervised fine-tuning, from our parts and by the trainer, beside torch's from the same weights and batches. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { planBatches, sftLoss, trainSft } from '@plumbline/align'
import { type SftRow, sftConfig } from '@plumbline/align/config'
import {
  clipByGlobalNorm,
  compile,
  compileGradients,
  createAdamw,
  createComputePool,
  createRandom,
  type Feeds,
  linearSchedule,
  type ParameterMap,
} from '@plumbline/engine'
import {
  buildForward,
  completionFeeds,
  forwardFeeds,
  loadModelFolder,
  type ModelConfig,
  type PromptCompletion,
  parseModelConfig,
  type Tokenizer,
  targetLogprobs,
} from '@plumbline/models'
import { afterAll, expect, test } from 'vitest'
import { goldenPath } from './golden/read-golden.ts'
import { runInFolder } from './trainers/run-trainer.ts'
import { tinyModel } from './trainers/tiny-models.ts'

interface SftStepsGolden {
  readonly options: Readonly<
    Record<'learningRate' | 'warmupSteps' | 'totalSteps' | 'weightDecay' | 'maxGradNorm', number>
  >
  readonly batches: PromptCompletion[][]
  readonly steps: Readonly<Record<'loss' | 'gradNorm' | 'learningRate', number>>[]
  readonly finalLogits: number[][]
}

const golden = JSON.parse(readFileSync(goldenPath('sft_steps.json'), 'utf8')) as SftStepsGolden
const pool = createComputePool({ threads: 2 })
const folder = mkdtempSync(join(tmpdir(), 'plumbline-sft-steps-'))
afterAll(() => {
  pool.dispose()
  rmSync(folder, { recursive: true, force: true })
})

/** The tokens of the golden model beside three special ones; its rows begin with token 1, which no text stands for. */
const characters = Array.from({ length: 93 }, (_, i) => String.fromCharCode(0x21 + i))
const textOf = (ids: readonly number[]) => ids.map((id) => characters[id - 3]).join('')

const relativeError = (x: number, reference: number) => Math.abs(x - reference) / Math.abs(reference)

test.each([4, 3, 1])('as torch, in micro-batches of %d', async (microBatch) => {
  const { config: rawConfig, parameters } = await loadModelFolder(goldenPath('models/llama-tied'))
  const config = parseModelConfig(rawConfig)
  const forward = buildForward(config)
  const weights = forward.graph.input('weights', 'float32', ['M'])
  const program = await compileGradients(sftLoss(targetLogprobs(forward), { weights }), parameters, {
    pool,
    accumulates: true,
  })
  const { learningRate, warmupSteps, totalSteps, weightDecay, maxGradNorm } = golden.options
  const adamw = createAdamw(parameters, pool, { weightDecay })
  const schedule = linearSchedule(learningRate, { warmupSteps, totalSteps })

  for (const [step, expected] of golden.steps.entries()) {
    const batch = golden.batches[step % golden.batches.length]
    const tokens = batch.reduce((sum, { completionIds }) => sum + completionIds.length, 0)
    let loss = 0
    for (let start = 0; start < batch.length; start += microBatch) {
      const feeds = completionFeeds(config, batch.slice(start, start + microBatch))
      const count = feeds.targets.shape[0]
      const all: Feeds = {
        ...Object.fromEntries(parameters),
        ...feeds,
        weights: { data: new Float32Array(count).fill(1 / tokens), shape: [count] },
      }
      const part = await (start === 0 ? program.run(all) : program.accumulate(all))
      loss += part.loss.data[0] as number
    }
    const { norm, scale } = clipByGlobalNorm(program.gradients, pool, maxGradNorm)
    expect(relativeError(loss, expected.loss), `loss of step ${step}`).toBeLessThan(1e-3)
    expect(relativeError(norm, expected.gradNorm), `gradient norm of step ${step}`).toBeLessThan(1e-3)
    expect(schedule(step)).toBeCloseTo(expected.learningRate, 12)
    adamw.step(program.gradients, { learningRate: schedule(step), gradientScale: scale })
  }
  await program.dispose()
  await checkFinalLogits(config, parameters)
})

/** Rows in which the trainer, which shuffles them, finds torch's batches in torch's order. */
function rowsInOrder(seed: number, batchSize: number): SftRow[] {
  const sequences = golden.steps.flatMap((_, step) => golden.batches[step % golden.batches.length])
  const plan = planBatches(
    sequences.map(() => 1),
    { batchSize, epochs: 1, maxSteps: -1, random: createRandom(seed) },
  )
  expect(plan).toHaveLength(golden.steps.length)
  const rows: SftRow[] = []
  for (const [i, row] of plan.flat().entries()) {
    const { promptIds, completionIds } = sequences[i]
    const [prompt, completion] = [textOf(promptIds.slice(1)), textOf(completionIds)]
    rows[row] = prompt === '' ? { text: completion } : { prompt, completion }
  }
  return rows
}

test.each([4096, 30, 1])('the trainer itself does, in micro-batches of %d tokens', async (micro_batch_tokens) => {
  const { learningRate, warmupSteps, weightDecay, maxGradNorm } = golden.options
  const config = sftConfig.parse({
    learning_rate: learningRate,
    lr_scheduler_type: 'linear',
    warmup_steps: warmupSteps,
    weight_decay: weightDecay,
    max_grad_norm: maxGradNorm,
    per_device_train_batch_size: golden.batches[0].length,
    num_train_epochs: 1,
    logging_steps: 1,
    micro_batch_tokens,
  })
  const { config: rawConfig, parameters } = await loadModelFolder(goldenPath('models/llama-tied'))
  const loaded = await tinyModel(join(folder, `model-${micro_batch_tokens}`), {
    config: rawConfig,
    characters,
    change: (random) => random.forEach(({ data }, name) => void data.set(parameters.get(name)!.data)),
  })
  const { encode } = loaded.tokenizer
  // Torch's rows have a first token, as Llama's tokenizer adds it, and no last one.
  const tokenizer: Tokenizer = {
    ...loaded.tokenizer,
    eosTokenId: undefined,
    encode: (text, options = {}) => [...(options.addSpecialTokens === false ? [] : [1]), ...encode(text, options)],
  }
  const model = { ...loaded, tokenizer }
  const train = rowsInOrder(config.seed, config.per_device_train_batch_size)
  const { metrics, error } = await runInFolder(join(folder, `run-${micro_batch_tokens}`), 'sft', config, (world) =>
    trainSft(config, model, { train }, world),
  )
  if (error) throw error
  expect(metrics).toHaveLength(golden.steps.length)
  for (const [step, { loss, gradNorm, learningRate: rate }] of golden.steps.entries()) {
    expect(relativeError(metrics[step].loss, loss), `loss of step ${step}`).toBeLessThan(1e-3)
    expect(relativeError(metrics[step].grad_norm, gradNorm), `gradient norm of step ${step}`).toBeLessThan(1e-3)
    expect(metrics[step].learning_rate).toBeCloseTo(rate, 12)
  }
  await checkFinalLogits(model.config, model.parameters)
})

/** After the last step, beside torch's. */
async function checkFinalLogits(config: ModelConfig, parameters: ParameterMap): Promise<void> {
  const forward = buildForward(config)
  const scorer = await compile(forward.graph, { logits: forward.logits() }, { threads: 2 })
  const { promptIds, completionIds } = golden.batches[0][0]
  const feeds = forwardFeeds(config, [[...promptIds, ...completionIds]])
  const { logits } = await scorer.run({ ...Object.fromEntries(parameters), ...feeds })
  const expected = golden.finalLogits.flat()
  const largest = Math.max(...expected.map(Math.abs))
  const worst = expected.reduce((top, x, i) => Math.max(top, Math.abs((logits.data[i] as number) - x)), 0)
  expect(logits.data.length).toBe(expected.length)
  expect(worst / largest).toBeLessThan(1e-3)
  await scorer.dispose()
}

test('torch learnt in these steps', () => {
  const losses = golden.steps.map(({ loss }) => loss)
  expect(losses).toHaveLength(10)
  expect(losses[9]).toBeLessThan(losses[0] - 1)
})
