/**
 * The trainers on two-layer models, each with what its tests need to know. One that align exports and that is not listed
 * here does not compile. As a program: `node registry.ts TRAINER MODELS FOLDER STEPS`, which goes on with what is there.
 */
import { join } from 'node:path'
import type * as align from '@plumbline/align'
import { type TrainerWorld, trainPpo, trainReward, trainSft } from '@plumbline/align'
import { ppoConfig, type RewardRow, rewardConfig, type SftRow, sftConfig } from '@plumbline/align/config'
import type { ParameterMap } from '@plumbline/engine'
import { type LanguageModel, loadLanguageModel } from '@plumbline/models'
import { hashOf, poisoned, type RunOptions, runInFolder, type TrainerRun } from './run-trainer.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

export type TrainerName = keyof {
  [Key in keyof typeof align as Key extends `train${infer Name}` ? Uncapitalize<Name> : never]: true
}

interface Place {
  /** See `writeModels`. */
  readonly models: string
  /** The run folder. */
  readonly folder: string
}

interface Trained {
  /** What comes out. */
  readonly weights: ParameterMap
  /** Of LoRA. */
  readonly adapter?: ParameterMap | undefined
  /** The weights that were handed in, after training. */
  readonly base: ParameterMap
}

export interface TrainerCase {
  /** The metric that training is about, and where it goes. */
  readonly curve: string
  readonly direction: 'falls' | 'rises'
  readonly steps: number
  readonly hasEvaluation: boolean
  readonly hasLora: boolean
  run(place: Place, changes?: Record<string, unknown>, options?: RunOptions): Promise<CaseRun>
}

export type CaseRun = TrainerRun<Trained>

/** Writes the models that the trainers start from; `config` changes the one that is trained. */
export async function writeModels(folder: string, config: Record<string, unknown> = {}): Promise<void> {
  await writeTinyModel(join(folder, 'model'), { deviation: 0.1, config })
  await writeTinyRewardModel(join(folder, 'reward-model'), { mean: 0, std: 2 })
}

const shared = {
  learning_rate: 0.01,
  max_steps: 5,
  logging_steps: 1,
  save_steps: 2,
  warmup_steps: 1,
  micro_batch_tokens: 64,
}
const demonstrations: SftRow[] = ['ab', 'abc', 'x', 'hello', 'a b c'].map((prompt) => ({
  prompt,
  completion: `${prompt}!`,
}))
const pairs = ['one', 'two', 'three', 'four', 'five', 'six'].map((prompt) => {
  return { prompt, chosen: 'yes.', rejected: `no, ${prompt}` }
})
const scored = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'].flatMap((prompt) => [
  { prompt, completion: 'yes.', score: 3 },
  { prompt, completion: `no, ${prompt}`, score: -2 },
])
const prompts = ['a', 'bc', 'def', 'ghij'].map((prompt) => ({ prompt }))
const say = (role: string, content: string) => ({ role, content })
/** More than a tiny model takes. */
const long = 'x'.repeat(70)

/** Rows that data have beside good ones: `idle`, of which nothing is learned, and `empty`, whose answers are. */
type MoreRows<Row> = Readonly<Record<NonNullable<RunOptions['also']>, readonly Row[]>>

interface Frame<Config extends Record<string, unknown>, Row>
  extends Pick<TrainerCase, 'curve' | 'direction' | 'hasEvaluation'> {
  readonly command: string
  readonly schema: { parse(values: Record<string, unknown>): Config }
  readonly values: Record<string, unknown>
  readonly rows: readonly Row[]
  readonly more: MoreRows<Row>
  train(
    config: Config,
    model: LanguageModel,
    rows: readonly Row[],
    world: TrainerWorld,
    models: string,
  ): Promise<Trained>
}

function trainerCase<Config extends Record<string, unknown>, Row>(frame: Frame<Config, Row>): TrainerCase {
  const { curve, direction, hasEvaluation, command, schema, values, rows, more, train } = frame
  return {
    curve,
    direction,
    hasEvaluation,
    hasLora: true,
    steps: shared.max_steps,
    run({ models, folder }, changes, options) {
      const config = schema.parse({ ...shared, ...values, ...changes })
      const inFolder = async (world: TrainerWorld) => {
        const model = await loadLanguageModel(join(models, 'model'))
        const all = options?.also ? [...rows, ...more[options.also]] : rows
        return train(config, model, all, poisoned(world, model, options?.poisonAfter), models)
      }
      return runInFolder(folder, command, config, inFolder, options)
    },
  }
}

function sftCase(values: Record<string, unknown> = {}): TrainerCase {
  return trainerCase({
    curve: 'loss',
    direction: 'falls',
    // Its loss is of whole answers: a best checkpoint would undo the openings, and is refused beside them.
    hasEvaluation: values.opening_epochs === undefined,
    command: 'sft',
    schema: sftConfig,
    values: { per_device_train_batch_size: 3, eval_steps: 2, sample_steps: 2, ...values },
    rows: demonstrations,
    more: {
      idle: [{ text: '' }],
      empty: [{ prompt: 'a', completion: '' }, { messages: [say('user', 'a'), say('assistant', '')] }],
    },
    async train(config, model, rows, world) {
      const data = { train: rows, evaluation: demonstrations.slice(0, 2) }
      const { trainable } = await trainSft(config, model, data, world)
      return { weights: await trainable.merged(), adapter: trainable.adapter?.parameters, base: model.parameters }
    },
  })
}

function rewardCase(rows: readonly RewardRow[], more: MoreRows<RewardRow>): TrainerCase {
  return trainerCase({
    curve: 'loss',
    direction: 'falls',
    hasEvaluation: true,
    command: 'reward',
    schema: rewardConfig,
    values: { per_device_train_batch_size: 3, eval_steps: 2, eval_fraction: 0.2 },
    rows,
    more,
    async train(config, model, train, world) {
      const { parameters, trainable } = await trainReward(config, model, { train }, world)
      return { weights: parameters, adapter: trainable.adapter?.parameters, base: model.parameters }
    },
  })
}

/** PPO with the value head on the policy's trunk or with a value model of its own. */
function ppoCase(value_model: 'shared' | 'separate', values: Record<string, unknown> = {}): TrainerCase {
  return trainerCase({
    curve: 'objective/rlhf_reward',
    direction: 'rises',
    hasEvaluation: false,
    command: 'ppo',
    schema: ppoConfig,
    values: {
      per_device_train_batch_size: 8,
      response_length: 4,
      num_ppo_epochs: 2,
      num_mini_batches: 2,
      kl_target: 3,
      value_model,
      ...values,
    },
    rows: prompts,
    // Its answers are the policy's own.
    more: { idle: [{ prompt: long }], empty: [] },
    async train(config, policy, rows, world, models) {
      const rewardModel = await loadLanguageModel(join(models, 'reward-model'))
      const before = hashOf(rewardModel.parameters)
      const { trainable } = await trainPpo(config, { policy, rewardModel }, rows, world)
      if (hashOf(rewardModel.parameters) !== before) throw new Error('The reward model was changed.')
      return { weights: await trainable.merged(), adapter: trainable.adapter?.parameters, base: policy.parameters }
    },
  })
}

/** An adapter on the upper half, and what is below computed once. */
const aboveFrozen = { use_peft: true, lora_dropout: 0, lora_skip_share: 0.5 }

export const trainers = {
  sft: sftCase(),
  'sft with openings': sftCase({ opening_epochs: 1, opening_tokens: 2, ...aboveFrozen }),
  reward: rewardCase(pairs, {
    idle: [
      { prompt: 'a', chosen: 'same', rejected: 'same' },
      { prompt: 'a', chosen: long, rejected: 'no' },
    ],
    empty: [
      { prompt: 'a', chosen: '', rejected: 'no' },
      { prompt: 'b', chosen: 'yes', rejected: '' },
    ],
  }),
  'reward from scores': rewardCase(scored, {
    idle: [{ prompt: 'a', completion: long, score: 9 }],
    empty: [{ prompt: 'a', completion: '', score: 0 }],
  }),
  ppo: ppoCase('shared'),
  'ppo with a value model': ppoCase('separate'),
  'ppo above frozen layers': ppoCase('shared', { ...aboveFrozen, learning_rate: 0.05 }),
} satisfies Record<TrainerName, TrainerCase> & Record<string, TrainerCase>

if (import.meta.main) {
  const [name, models, folder, steps] = process.argv.slice(2)
  const trainer: TrainerCase = trainers[name as keyof typeof trainers]
  const onStep = (step: number) => process.stdout.write(`${step}\n`)
  const { error } = await trainer.run({ models, folder }, { max_steps: Number(steps) }, { resume: true, onStep })
  process.exit(error ? 1 : 0)
}
