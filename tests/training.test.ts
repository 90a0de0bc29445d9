/** A training step from parts: gradients over micro-batches, clipping, AdamW, LoRA with a frozen base. */
import {
  clipByGlobalNorm,
  compileGradients,
  createAdamw,
  createComputePool,
  createRandom,
  type Feeds,
  linearSchedule,
  mul,
  neg,
  type ParameterMap,
  sum,
} from '@plumbline/engine'
import {
  adaptWithLora,
  buildForward,
  completionFeeds,
  createAdapter,
  type Forward,
  loadModelFolder,
  type PromptCompletion,
  parseModelConfig,
  targetLogprobs,
} from '@plumbline/models'
import { afterAll, expect, test } from 'vitest'
import { goldenPath } from './golden/read-golden.ts'

const pool = createComputePool({ threads: 2 })
afterAll(() => pool.dispose())

async function loadTiny() {
  const { config, parameters } = await loadModelFolder(goldenPath('models/llama-tied'))
  return { config: parseModelConfig(config), parameters }
}

const random = createRandom(1)
const rows: PromptCompletion[] = [9, 4, 12, 7].map((length) => ({
  promptIds: [1],
  completionIds: Array.from({ length }, () => random.integer(96)),
}))
const tokens = rows.reduce((total, { completionIds }) => total + completionIds.length, 0)

function meanLoss(forward: Forward) {
  const weights = forward.graph.input('weights', 'float32', ['M'])
  return neg(sum(mul(targetLogprobs(forward), weights)))
}

function batchFeeds(
  config: ReturnType<typeof parseModelConfig>,
  parameters: ParameterMap,
  batch: PromptCompletion[],
): Feeds {
  const feeds = completionFeeds(config, batch)
  const [count] = feeds.targets.shape
  const weights = { data: new Float32Array(count).fill(1 / tokens), shape: [count] }
  return { ...Object.fromEntries(parameters), ...feeds, weights }
}

test('gradients over micro-batches are those of the whole batch', async () => {
  const { config, parameters } = await loadTiny()
  const single = await compileGradients(meanLoss(buildForward(config)), parameters, { pool })
  const { loss: wholeLoss } = await single.run(batchFeeds(config, parameters, rows))
  await expect(single.accumulate(batchFeeds(config, parameters, rows))).rejects.toThrow(/one batch a step/)
  const whole = single.gradients
  const program = await compileGradients(meanLoss(buildForward(config)), parameters, { pool, accumulates: true })
  const first = await program.run(batchFeeds(config, parameters, rows.slice(0, 1)))
  const second = await program.accumulate(batchFeeds(config, parameters, rows.slice(1, 3)))
  const third = await program.accumulate(batchFeeds(config, parameters, rows.slice(3)))
  const split = [first, second, third].reduce((total, { loss }) => total + (loss.data[0] as number), 0)
  expect(split).toBeCloseTo(wholeLoss.data[0] as number, 5)
  for (const [name, data] of program.gradients) {
    const reference = whole.get(name)!
    const largest = Math.max(...reference.map(Math.abs))
    data.forEach((value, i) => {
      expect(Math.abs(value - reference[i]) / largest, name).toBeLessThan(1e-5)
    })
  }
  await program.dispose()
})

async function train(steps: number, trainable: ParameterMap, forward: Forward, feeds: () => Feeds): Promise<number[]> {
  const program = await compileGradients(meanLoss(forward), trainable, { pool })
  const adamw = createAdamw(trainable, pool, { weightDecay: 0.01 })
  const schedule = linearSchedule(1e-2, { warmupSteps: 2, totalSteps: steps })
  const losses: number[] = []
  for (let step = 0; step < steps; step++) {
    const { loss } = await program.run(feeds())
    losses.push(loss.data[0] as number)
    const { scale } = clipByGlobalNorm(program.gradients, pool, 1)
    adamw.step(program.gradients, { learningRate: schedule(step), gradientScale: scale })
  }
  await program.dispose()
  return losses
}

test('training lowers the loss, and the same start gives the same bytes', async () => {
  const runs = await Promise.all(
    [0, 1].map(async () => {
      const { config, parameters } = await loadTiny()
      const losses = await train(12, parameters, buildForward(config), () => batchFeeds(config, parameters, rows))
      return { losses, parameters }
    }),
  )
  const [a, b] = runs
  expect(a.losses.at(-1)).toBeLessThan(a.losses[0] - 1)
  expect(a.losses).toEqual(b.losses)
  for (const [name, { data }] of a.parameters) expect(data, name).toEqual(b.parameters.get(name)!.data)
})

test('LoRA with dropout trains its adapters and leaves the base as it was', async () => {
  const { config, parameters } = await loadTiny()
  const before = new Map([...parameters].map(([name, { data }]) => [name, data.slice()]))
  const options = { rank: 4, alpha: 8, dropout: 0.1, targetModules: ['all-linear'], random: createRandom(3) }
  const adapter = createAdapter(config, options)
  const forward = buildForward(config, { adapt: adaptWithLora(adapter, { isTraining: true }) })
  let step = 0
  const losses = await train(12, adapter.parameters, forward, () => ({
    ...batchFeeds(config, parameters, rows),
    ...Object.fromEntries(adapter.parameters),
    loraSeed: { data: Uint32Array.of(step++), shape: [] },
  }))
  expect(losses.at(-1)).toBeLessThan(losses[0])
  for (const [name, { data }] of parameters) expect(data, name).toEqual(before.get(name))
})

test('a loss that depends on nothing trainable is an error', async () => {
  const { config } = await loadTiny()
  await expect(compileGradients(meanLoss(buildForward(config)), new Map(), { pool })).rejects.toThrow(
    /none of the trainable/,
  )
})
