/** Ten steps of supervised fine-tuning from our parts, beside torch's from the same weights and batches. */
import { readFileSync } from 'node:fs'
import { sftLoss } from '@plumbline/align'
import {
  clipByGlobalNorm,
  compile,
  compileGradients,
  createAdamw,
  createComputePool,
  type Feeds,
  linearSchedule,
} from '@plumbline/engine'
import {
  buildForward,
  completionFeeds,
  forwardFeeds,
  loadModelFolder,
  type PromptCompletion,
  parseModelConfig,
  targetLogprobs,
} from '@plumbline/models'
import { afterAll, expect, test } from 'vitest'
import { goldenPath } from './golden/read-golden.ts'

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
afterAll(() => pool.dispose())

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
})

test('torch learnt in these steps', () => {
  const losses = golden.steps.map(({ loss }) => loss)
  expect(losses).toHaveLength(10)
  expect(losses[9]).toBeLessThan(losses[0] - 1)
})
