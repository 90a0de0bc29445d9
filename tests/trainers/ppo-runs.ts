/** PPO runs on two-layer models. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TrainerWorld, trainPpo } from '@plumbline/align'
import { ppoConfig } from '@plumbline/align/config'
import { loadLanguageModel } from '@plumbline/models'
import { afterAll } from 'vitest'
import { type RunOptions, readLines, runInFolder } from './run-trainer.ts'
import { idOf, type TinyModelOptions, writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-ppo-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

let count = 0
export const newFolder = () => join(base, String(count++))
export const prompts = ['a', 'bc', 'def', 'ghij', 'klmno', '-', '(+)', '12'].map((prompt) => ({ prompt }))

type PpoModels = Parameters<typeof trainPpo>[1]

export interface Case {
  readonly referenceModel?: TinyModelOptions
  readonly policy?: TinyModelOptions
  readonly rewardModel?: Parameters<typeof writeTinyRewardModel>[1]
  readonly options?: RunOptions
  /** Of the run; a new one by default. */
  readonly folder?: string
  /** Changes what the trainer is handed beside its models. */
  readonly inWorld?: (world: TrainerWorld, models: PpoModels) => TrainerWorld
}

export interface Sample {
  readonly prompt: string
  readonly completion: string
  readonly score: number
  readonly kl: number
  readonly finish_reason: 'stop' | 'length'
}

/** A PPO run whose every episode of the last iteration is in the samples; one update an iteration. */
export async function ppo(
  changes: Record<string, unknown> = {},
  { folder = newFolder(), options, inWorld, ...described }: Case = {},
) {
  const { policy: policyOptions, rewardModel: rewardOptions, referenceModel: referenceOptions } = described
  const [policyPath, rewardPath] = [newFolder(), newFolder()]
  await writeTinyModel(policyPath, policyOptions)
  await writeTinyRewardModel(rewardPath, { ...policyOptions, ...rewardOptions })
  const policy = await loadLanguageModel(policyPath)
  const rewardModel = await loadLanguageModel(rewardPath)
  const referenceModel =
    referenceOptions && (await loadLanguageModel(await writeTinyModel(newFolder(), referenceOptions)))
  const config = ppoConfig.parse({
    learning_rate: 0.003,
    lr_scheduler_type: 'constant',
    per_device_train_batch_size: 8,
    max_steps: 1,
    num_ppo_epochs: 1,
    response_length: 4,
    logging_steps: 1,
    ...changes,
  })
  const models = { policy, rewardModel, referenceModel }
  const train = (world: TrainerWorld) => trainPpo(config, models, prompts, inWorld?.(world, models) ?? world)
  const { result, ...run } = await runInFolder(folder, 'ppo', config, train, options)
  const { metrics } = run
  const all: (Sample & { global_step: number })[] = readLines(join(folder, 'samples.jsonl'))
  const samples = all.filter(({ global_step }) => global_step === metrics.at(-1)?.global_step)
  return { ...run, folder, policyPath, rewardModel, samples, weights: await result?.trainable.merged() }
}

export type Ppo = Awaited<ReturnType<typeof ppo>>

export const meanOf = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
/** Every letter ends an answer, and the tokenizer's end token is another one. */
export const letters = Array.from({ length: 26 }, (_, i) => idOf(String.fromCharCode(0x61 + i)))
export const stopAtLetters = { config: { eos_token_id: letters } }
export const tokensOf = ({ completion, finish_reason }: Sample) =>
  completion.length + (finish_reason === 'stop' ? 1 : 0)

/** Changes the policy's weights when the first answers have been sampled: the trainer looks at its clock then. */
export function afterSampling(change: (weights: Float32Array) => void): NonNullable<Case['inWorld']> {
  return (world, { policy }) => {
    let looks = 0
    const clock = () => {
      if (++looks === 2) for (const { data } of policy.parameters.values()) change(data)
      return world.clock()
    }
    return { ...world, clock }
  }
}
