/** What holds for every trainer, on two-layer models. A trainer that align exports and that is not listed here does not compile. */
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as align from '@plumbline/align'
import { trainPpo, trainReward, trainSft } from '@plumbline/align'
import { ppoConfig, rewardConfig, sftConfig } from '@plumbline/align/config'
import type { ParameterMap } from '@plumbline/engine'
import { loadLanguageModel, openSafetensors } from '@plumbline/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashOf, poisoned, type RunOptions, runInFolder, type TrainerRun } from './run-trainer.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

type TrainerName = keyof {
  [Key in keyof typeof align as Key extends `train${infer Name}` ? Uncapitalize<Name> : never]: true
}

interface Trained {
  /** What comes out. */
  readonly weights: ParameterMap
  /** Of LoRA. */
  readonly adapter?: ParameterMap | undefined
  /** The weights that were handed in, after training. */
  readonly base: ParameterMap
}

interface TrainerCase {
  /** The metric that training is about, and where it goes. */
  readonly curve: string
  readonly direction: 'falls' | 'rises'
  readonly steps: number
  readonly hasLora: boolean
  run(folder: string, changes?: Record<string, unknown>, options?: RunOptions): Promise<CaseRun>
}

type CaseRun = TrainerRun<Trained>

const base = mkdtempSync(join(tmpdir(), 'plumbline-trainers-'))
const modelPath = join(base, 'model')
const rewardModelPath = join(base, 'reward-model')
let runs = 0
const newFolder = () => join(base, `run-${runs++}`)

beforeAll(async () => {
  await writeTinyModel(modelPath, { deviation: 0.1 })
  await writeTinyRewardModel(rewardModelPath, { mean: 0, std: 2 })
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

const shared = { logging_steps: 1, save_steps: 2, warmup_steps: 1, micro_batch_tokens: 64 }
const demonstrations = ['ab', 'abc', 'x', 'hello', 'a b c'].map((prompt) => ({ prompt, completion: `${prompt}!` }))
const pairs = ['one', 'two', 'three', 'four', 'five', 'six'].map((prompt) => {
  return { prompt, chosen: 'yes.', rejected: `no, ${prompt}` }
})
const prompts = ['a', 'bc', 'def', 'ghij'].map((prompt) => ({ prompt }))

const trainers = {
  sft: {
    curve: 'loss',
    direction: 'falls',
    steps: 5,
    hasLora: true,
    run(folder, changes, options) {
      const config = sftConfig.parse({
        ...shared,
        learning_rate: 0.01,
        per_device_train_batch_size: 3,
        max_steps: 5,
        ...changes,
      })
      return runInFolder(
        folder,
        'sft',
        config,
        async (world) => {
          const model = await loadLanguageModel(modelPath)
          const { trainable } = await trainSft(
            config,
            model,
            { train: demonstrations },
            poisoned(world, model, options?.poisonAfter),
          )
          return { weights: trainable.merged(), adapter: trainable.adapter?.parameters, base: model.parameters }
        },
        options,
      )
    },
  },
  reward: {
    curve: 'loss',
    direction: 'falls',
    steps: 5,
    hasLora: false,
    run(folder, changes, options) {
      const config = rewardConfig.parse({
        ...shared,
        learning_rate: 0.01,
        per_device_train_batch_size: 3,
        max_steps: 5,
        eval_steps: 2,
        eval_fraction: 0.2,
        ...changes,
      })
      return runInFolder(
        folder,
        'reward',
        config,
        async (world) => {
          const model = await loadLanguageModel(modelPath)
          const { parameters } = await trainReward(
            config,
            model,
            { train: pairs },
            poisoned(world, model, options?.poisonAfter),
          )
          return { weights: parameters, base: model.parameters }
        },
        options,
      )
    },
  },
  ppo: {
    curve: 'objective/rlhf_reward',
    direction: 'rises',
    steps: 5,
    hasLora: true,
    run(folder, changes, options) {
      const config = ppoConfig.parse({
        ...shared,
        learning_rate: 0.01,
        per_device_train_batch_size: 8,
        max_steps: 5,
        response_length: 4,
        num_ppo_epochs: 2,
        num_mini_batches: 2,
        kl_target: 3,
        ...changes,
      })
      return runInFolder(
        folder,
        'ppo',
        config,
        async (world) => {
          const policy = await loadLanguageModel(modelPath)
          const rewardModel = await loadLanguageModel(rewardModelPath)
          const before = hashOf(rewardModel.parameters)
          const { trainable } = await trainPpo(
            config,
            { policy, rewardModel },
            prompts,
            poisoned(world, policy, options?.poisonAfter),
          )
          expect(hashOf(rewardModel.parameters), 'the reward model is frozen').toBe(before)
          return { weights: trainable.merged(), adapter: trainable.adapter?.parameters, base: policy.parameters }
        },
        options,
      )
    },
  },
} satisfies Record<TrainerName, TrainerCase>

/** All that a run leaves behind, for comparison. */
async function traceOf(folder: string, { result }: CaseRun) {
  const text = (name: string) => readFile(join(folder, name), 'utf8')
  return {
    weights: hashOf(result!.weights),
    metrics: await text('metrics.jsonl'),
    samples: await text('samples.jsonl'),
  }
}

async function finishedRun(trainer: TrainerCase, changes?: Record<string, unknown>) {
  const folder = newFolder()
  const run = await trainer.run(folder, changes)
  if (run.error) throw run.error
  return { ...run, trace: await traceOf(folder, run), result: run.result! }
}

const curveOf = (trainer: TrainerCase, metrics: CaseRun['metrics']) =>
  metrics.flatMap((line) => (trainer.curve in line ? [line[trainer.curve]] : []))

describe.each(Object.entries<TrainerCase>(trainers))('%s', (_, trainer) => {
  test(`${trainer.curve} ${trainer.direction}`, async () => {
    const { metrics } = await finishedRun(trainer, { max_steps: 20 })
    const curve = curveOf(trainer, metrics)
    expect(curve).toHaveLength(20)
    const meanOf = (part: readonly number[]) => part.reduce((sum, x) => sum + x, 0) / part.length
    const rise = meanOf(curve.slice(-4)) - meanOf(curve.slice(0, 4))
    expect(trainer.direction === 'rises' ? rise : -rise).toBeGreaterThan(0.3)
  })

  test('the same seed gives the same bytes, another one does not', async () => {
    const [first, again, other] = [
      await finishedRun(trainer),
      await finishedRun(trainer),
      await finishedRun(trainer, { seed: 7 }),
    ]
    expect(again.trace).toEqual(first.trace)
    expect(other.trace.weights).not.toBe(first.trace.weights)
    expect(other.trace.metrics).not.toBe(first.trace.metrics)
  })

  test('interrupted after any step and resumed, a run ends as if it never was', async () => {
    const expected = (await finishedRun(trainer)).trace
    for (let stopAfter = 0; stopAfter < trainer.steps; stopAfter++) {
      const folder = newFolder()
      const stopped = await trainer.run(folder, {}, { stopAfter })
      expect(stopped.error?.code).toBe('INTERRUPTED')
      expect(stopped.steps).toBe(stopAfter)
      const resumed = await trainer.run(folder, {}, { resume: true })
      expect(resumed.steps).toBe(trainer.steps - stopAfter)
      expect(await traceOf(folder, resumed), `after step ${stopAfter}`).toEqual(expected)
    }
  })

  test('micro-batches change nothing but rounding', async () => {
    // One step: later ones would carry the rounding of AdamW's first, where the smallest gradient moves a weight fully.
    const [whole, cut] = [
      await finishedRun(trainer, { max_steps: 1, num_ppo_epochs: 1, num_mini_batches: 1, micro_batch_tokens: 4096 }),
      await finishedRun(trainer, { max_steps: 1, num_ppo_epochs: 1, num_mini_batches: 1, micro_batch_tokens: 1 }),
    ]
    expect(cut.metrics).toHaveLength(whole.metrics.length)
    whole.metrics.forEach((line, i) => {
      for (const [key, value] of Object.entries(line)) {
        // After the update.
        if (key.startsWith('eval_')) continue
        expect(Math.abs(cut.metrics[i][key] - value), key).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)))
      }
    })
  })

  test('a weight that becomes infinite stops it with the step and its rows; the good checkpoint stays', async () => {
    const folder = newFolder()
    const { error, steps } = await trainer.run(folder, {}, { poisonAfter: 3 })
    expect(steps).toBe(3)
    expect(error).toMatchObject({ code: 'NOT_FINITE', message: expect.stringMatching(/^step 4: .* rows are \d+, \d+/) })
    expect(error?.hint).toContain('earlier steps are good')
    expect(await readdir(join(folder, 'checkpoints'))).toEqual(['step-00000002'])
    expect(JSON.parse(await readFile(join(folder, 'run.json'), 'utf8'))).toMatchObject({ status: 'failed', step: 2 })
    const resumed = await trainer.run(folder, {}, { resume: true })
    expect(await traceOf(folder, resumed)).toEqual((await finishedRun(trainer)).trace)
  })

  test('weights that are not finite never reach a checkpoint', async () => {
    const folder = newFolder()
    const changes = { learning_rate: 1e38, max_grad_norm: 1e30, save_steps: 1, warmup_steps: 0 }
    const { error } = await trainer.run(folder, changes)
    expect(error?.code).toMatch(/NOT_FINITE|POLICY_RAN_AWAY/)
    for (const checkpoint of await readdir(join(folder, 'checkpoints')).catch(() => [])) {
      const file = await openSafetensors(join(folder, 'checkpoints', checkpoint, 'arrays.safetensors'))
      for (const tensor of file.tensors.keys())
        if (tensor.startsWith('parameter.'))
          expect((await file.readTensor(tensor)).data.every(Number.isFinite)).toBe(true)
      await file.close()
    }
  })

  test.runIf(trainer.hasLora)('LoRA trains the adapter alone', async () => {
    const untouched = hashOf((await loadLanguageModel(modelPath)).parameters)
    const { result, trace } = await finishedRun(trainer, { use_peft: true, lora_r: 4 })
    expect(hashOf(result.base)).toBe(untouched)
    const names = [...result.adapter!.keys()]
    expect(names.length).toBeGreaterThan(0)
    for (const key of names) expect(key).toMatch(/\.lora_[AB]\.weight$/)
    for (const [key, { data }] of result.adapter!)
      expect(
        data.some((x) => x !== 0),
        key,
      ).toBe(true)
    expect(trace.weights).not.toBe(untouched)
  })
})
