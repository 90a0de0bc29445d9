/**
 * The main job: fine-tune on demonstrations, learn a reward from preferences, move the model towards it by PPO, and
 * measure each of the three models on held-out prompts. Each stage has a folder; a job that was stopped goes on with
 * the stage that it was in.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AlignReport } from '@plumbline/contracts'
import type { ComputePool } from '@plumbline/engine'
import { loadLanguageModel } from '@plumbline/models'
import { type AlignFacts, buildAlignReport, type StageAnswers } from './align-report.ts'
import {
  type AlignConfig,
  type EvalPromptRow,
  type PreferenceRow,
  type PromptRow,
  ppoConfig,
  rewardConfig,
  type SftRow,
  sftConfig,
} from './config.ts'
import { answersOf, rewardsOf } from './evaluate.ts'
import { type Durations, openDurations, type PartState } from './parts/durations.ts'
import type { RewardEvaluation } from './parts/reward-evaluation.ts'
import type { RunFolder } from './parts/run-folder.ts'
import { describeModel, describeRows, type RunInputs } from './parts/run-inputs.ts'
import { runTrainer } from './parts/run-trainer.ts'
import type { TrainerWorld } from './parts/training.ts'
import { writeTrainedModel } from './parts/write-trained-model.ts'
import { trainPpo } from './ppo.ts'
import { REWARD_EVALUATION, trainReward, writeRewardModel } from './reward.ts'
import { trainSft } from './sft.ts'

export interface AlignData {
  readonly demonstrations: readonly SftRow[]
  readonly preferences: readonly PreferenceRow[]
  readonly prompts: readonly PromptRow[]
  readonly evalPrompts: readonly EvalPromptRow[]
}

export interface AlignWorld {
  /** Opens, or resumes, the run folder of a stage. */
  readonly openRun: (stage: string, config: Readonly<Record<string, unknown>>, inputs: RunInputs) => Promise<RunFolder>
  readonly pool: ComputePool
  readonly signal: AbortSignal
  /** Memory that is free now. */
  readonly availableBytes: () => number
  readonly log: (text: string) => void
  /** Shows how far a stage is. */
  readonly progress: (stage: string) => { set(done: number, total: number): void; end(): void }
  /** Milliseconds of a clock that does not go back. */
  readonly clock: () => number
}

interface PartWorld extends AlignWorld {
  /** Says how a part of the job is found. */
  readonly found: (state: PartState) => void
}

/** Of a job: answers of three models, three trainers, rewards. */
const PARTS = 7

export type AlignSetting = Omit<
  AlignFacts,
  'seed' | 'prompts' | 'stages' | 'rewardEvaluation' | 'metrics' | 'durations'
>

/** Runs all stages under `output` from the model at `modelPath`, and says what they changed. */
export async function runAlign(
  config: AlignConfig,
  modelPath: string,
  data: AlignData,
  output: string,
  setting: AlignSetting,
  world: AlignWorld,
): Promise<AlignReport> {
  const durations = await openDurations(join(output, 'durations.json'), world.clock)
  let part = 0
  const timed: Durations['time'] = (name, work) => {
    world.log(`[${++part}/${PARTS}] ${name}`)
    return durations.time(name, work)
  }
  const folder = (stage: string) => join(output, stage, 'model')
  const answers = (stage: 'base' | 'sft' | 'ppo', path: string) =>
    timed(`answers of ${stage}`, (found) =>
      evaluate(stage, path, data.evalPrompts, config, output, { ...world, found }),
    )

  const base = await answers('base', modelPath)
  await timed('supervised fine-tuning', (found) => sftStage(config, modelPath, data, { ...world, found }))
  const sft = await answers('sft', folder('sft'))
  await timed('reward model', (found) => rewardStage(config, folder('sft'), data, { ...world, found }))
  await timed('PPO', (found) => ppoStage(config, folder('sft'), folder('reward'), data, { ...world, found }))
  const ppo = await answers('ppo', folder('ppo'))

  const stages = await timed('rewards', async (found) => {
    found('new')
    const rewardModel = await loadLanguageModel(folder('reward'))
    const answered = { base, sft, ppo }
    const rewards = await rewardsOf(rewardModel, data.evalPrompts, Object.values(answered))
    return Object.entries(answered).map(
      ([stage, given], i): StageAnswers => ({
        stage: stage as StageAnswers['stage'],
        answers: given,
        rewards: rewards[i],
      }),
    )
  })
  const metrics = {
    sft: await readLines(join(output, 'sft', 'metrics.jsonl')),
    reward: await readLines(join(output, 'reward', 'metrics.jsonl')),
    ppo: await readLines(join(output, 'ppo', 'metrics.jsonl')),
  }
  const rewardEvaluation = await readJson<RewardEvaluation>(join(output, 'reward', REWARD_EVALUATION))
  return buildAlignReport({
    ...setting,
    seed: config.seed,
    prompts: data.evalPrompts,
    stages,
    rewardEvaluation,
    metrics,
    durations: durations.all(),
  })
}

async function evaluate(
  stage: string,
  path: string,
  prompts: readonly EvalPromptRow[],
  { max_new_tokens }: AlignConfig,
  output: string,
  { signal, progress, found }: PartWorld,
) {
  const shown = progress(`answers of ${stage}`)
  // Answers of another model, to other prompts or of another length are not those of this job.
  const [model, asked] = [await describeModel(path), describeRows('the evaluation prompts', prompts)].map(
    (input) => input.sha256,
  )
  const key = createHash('sha256')
    .update(JSON.stringify([model, asked, max_new_tokens]))
    .digest('hex')
    .slice(0, 12)
  const file = join(output, 'answers', `${stage}-${key}.jsonl`)
  found('finished')
  const answers = await answersOf(() => loadLanguageModel(path), prompts, file, {
    maxNewTokens: max_new_tokens,
    signal,
    onAnswer: (done) => {
      found('new')
      shown.set(done, prompts.length)
    },
  })
  shown.end()
  return answers
}

/** Runs one trainer in its folder, unless that is finished. `train` gives what writes the model. */
async function stage(
  name: string,
  config: Readonly<Record<string, unknown>>,
  inputs: RunInputs,
  { openRun, progress, found, ...world }: PartWorld,
  train: (world: TrainerWorld) => Promise<(folder: string) => Promise<void>>,
): Promise<void> {
  const shown = progress(name)
  const onStep = (step: number, total: number) => shown.set(step, total)
  const open = async () => {
    const run = await openRun(name, config, inputs)
    found(run.state)
    return run
  }
  try {
    await runTrainer({ ...world, openRun: open, onStep }, train)
  } finally {
    shown.end()
  }
}

/** Common to all stages. Every step is logged, checkpoints are rare since stages are short. */
function common({ seed, micro_batch_tokens, use_peft, lora_r, lora_alpha, lora_dropout, ...config }: AlignConfig) {
  const { lora_target_modules, lora_skip_share } = config
  const lora = { use_peft, lora_r, lora_alpha, lora_dropout, lora_target_modules, lora_skip_share }
  return { seed, micro_batch_tokens, ...lora, logging_steps: 1, save_steps: 25 }
}

async function sftStage(
  config: AlignConfig,
  modelPath: string,
  { demonstrations }: AlignData,
  world: PartWorld,
): Promise<void> {
  const resolved = sftConfig.parse({
    ...common(config),
    learning_rate: config.sft_learning_rate,
    num_train_epochs: config.sft_epochs,
    opening_epochs: config.sft_opening_epochs,
    opening_tokens: config.sft_opening_tokens,
    per_device_train_batch_size: 16,
    lr_scheduler_type: 'cosine',
    warmup_steps: 5,
  })
  const inputs = {
    model: await describeModel(modelPath),
    demonstrations: describeRows('the demonstrations', demonstrations),
  }
  await stage('sft', resolved, inputs, world, async (trainer) => {
    const model = await loadLanguageModel(modelPath)
    const { trainable } = await trainSft(resolved, model, { train: demonstrations }, trainer)
    return (folder) => writeTrainedModel(folder, model, trainable.merged())
  })
}

async function rewardStage(
  config: AlignConfig,
  modelPath: string,
  { preferences }: AlignData,
  world: PartWorld,
): Promise<void> {
  const resolved = rewardConfig.parse({
    ...common(config),
    lora_skip_share: config.reward_lora_skip_share,
    learning_rate: config.reward_learning_rate,
    num_train_epochs: config.reward_epochs,
    center_rewards_coefficient: 0.01,
    eval_fraction: 0.15,
    warmup_steps: 3,
  })
  const inputs = { model: await describeModel(modelPath), preferences: describeRows('the preferences', preferences) }
  await stage('reward', resolved, inputs, world, async (trainer) => {
    const model = await loadLanguageModel(modelPath)
    const result = await trainReward(resolved, model, { train: preferences }, trainer)
    return (folder) => writeRewardModel(folder, model, result)
  })
}

async function ppoStage(
  config: AlignConfig,
  policyPath: string,
  rewardPath: string,
  { prompts }: AlignData,
  world: PartWorld,
): Promise<void> {
  const resolved = ppoConfig.parse({
    ...common(config),
    save_steps: 1,
    learning_rate: config.ppo_learning_rate,
    max_steps: config.ppo_iterations,
    per_device_train_batch_size: config.ppo_batch_size,
    num_ppo_epochs: config.ppo_epochs,
    response_length: config.max_new_tokens,
    temperature: config.temperature,
    kl_coef: config.kl_coef,
    missing_eos_penalty: 1,
    lr_scheduler_type: 'constant',
  })
  const inputs = {
    model: await describeModel(policyPath),
    reward_model: await describeModel(rewardPath),
    prompts: describeRows('the prompts', prompts),
  }
  await stage('ppo', resolved, inputs, world, async (trainer) => {
    const policy = await loadLanguageModel(policyPath)
    const rewardModel = await loadLanguageModel(rewardPath)
    const { trainable } = await trainPpo(resolved, { policy, rewardModel }, prompts, trainer)
    return (folder) => writeTrainedModel(folder, policy, trainable.merged())
  })
}

async function readLines(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) ?? undefined)
}
