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
import { type LanguageModel, loadLanguageModel } from '@plumbline/models'
import { type AlignFacts, buildAlignReport, type StageAnswers } from './align-report.ts'
import { asOfJob, checkStages, type Stage, stageConfigs } from './align-stages.ts'
import type {
  AlignConfig,
  EvalPromptRow,
  PpoConfig,
  PreferenceRow,
  PromptRow,
  RewardConfig,
  SftConfig,
  SftRow,
} from './config.ts'
import { answersOf, rewardsOf } from './evaluate.ts'
import { type Durations, openDurations, type PartState } from './parts/durations.ts'
import type { RewardEvaluation } from './parts/reward-evaluation.ts'
import { readJsonLines } from './parts/run-files.ts'
import type { RunFolder } from './parts/run-folder.ts'
import { describeModel, describeRows, type RunInput, type RunInputs } from './parts/run-inputs.ts'
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
  /** Whether the run of a stage is finished. Throws where its folder holds one that cannot go on so; `inputs` may be some. */
  readonly checkRun: (stage: string, config: Readonly<Record<string, unknown>>, inputs: RunInputs) => Promise<boolean>
  /** Opens, or resumes, the run folder of a stage. */
  readonly openRun: (stage: string, config: Readonly<Record<string, unknown>>, inputs: RunInputs) => Promise<RunFolder>
  readonly pool: ComputePool
  readonly signal: AbortSignal
  /** Memory that is free now. */
  readonly availableBytes: () => number
  readonly log: (text: string) => void
  /** Shows how far a stage is, from the first `set`, which says what was done before. */
  readonly progress: (
    stage: string,
    unit: 'answers' | 'steps',
  ) => { set(done: number, total: number): void; end(): void }
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
  const configs = stageConfigs(config, data.preferences)
  // Models of later stages are known when those before are done.
  const given = {
    sft: {
      model: await describeModel(modelPath),
      demonstrations: describeRows('the demonstrations', data.demonstrations),
    },
    reward: { preferences: describeRows('the preferences', data.preferences) },
    ppo: { prompts: describeRows('the prompts', data.prompts) },
  }
  const toCome: Stage[] = []
  for (const name of ['sft', 'reward', 'ppo'] as const)
    if (!(await world.checkRun(name, configs[name], given[name]))) toCome.push(name)
  const availableBytes = world.availableBytes()
  let untrained: LanguageModel | undefined = await loadLanguageModel(modelPath)
  checkStages(configs, untrained, data, { toCome, availableBytes })
  const durations = await openDurations(join(output, 'durations.json'), world.clock)
  let part = 0
  const timed: Durations['time'] = (name, work) => {
    world.log(`[${++part}/${PARTS}] ${name}`)
    return durations.time(name, work)
  }
  const folder = (stage: string) => join(output, stage, 'model')
  const answers = (stage: 'base' | 'sft' | 'ppo', model: RunInput, loadModel = () => loadLanguageModel(model.path)) =>
    timed(`answers of ${stage}`, (found) =>
      evaluate(stage, { model, loadModel }, data.evalPrompts, config, output, { ...world, found }),
    )

  const base = await answers('base', given.sft.model, async () => untrained!)
  // Its memory is free before fine-tuning, which loads its own: without adapters that changes its weights in place.
  untrained = undefined
  await timed('supervised fine-tuning', (found) => sftStage(configs.sft, data, given.sft, { ...world, found }))
  const tuned = await describeModel(folder('sft'))
  const sft = await answers('sft', tuned)
  await timed('reward model', (found) =>
    rewardStage(configs.reward, data, { model: tuned, ...given.reward }, { ...world, found }),
  )
  // The policy again: minutes or hours have passed since it was described.
  const models = { model: await describeModel(folder('sft')), reward_model: await describeModel(folder('reward')) }
  await timed('PPO', (found) => ppoStage(configs.ppo, data, { ...models, ...given.ppo }, { ...world, found }))
  const ppo = await answers('ppo', await describeModel(folder('ppo')))

  const stages = await timed('rewards', async (found) => {
    found('new')
    const answered = { base, sft, ppo }
    const total = Object.values(answered).flat().length
    const shown = world.progress('rewards', 'answers')
    shown.set(0, total)
    const rewardModel = await loadLanguageModel(folder('reward'))
    const rewards = await rewardsOf(rewardModel, data.evalPrompts, Object.values(answered), {
      signal: world.signal,
      onScored: (done) => shown.set(done, total),
    })
    shown.end()
    return Object.entries(answered).map(
      ([stage, given], i): StageAnswers => ({
        stage: stage as StageAnswers['stage'],
        answers: given,
        rewards: rewards[i],
      }),
    )
  })
  const metrics = {
    sft: await readJsonLines<Record<string, unknown>>(join(output, 'sft', 'metrics.jsonl')),
    reward: await readJsonLines<Record<string, unknown>>(join(output, 'reward', 'metrics.jsonl')),
    ppo: await readJsonLines<Record<string, unknown>>(join(output, 'ppo', 'metrics.jsonl')),
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
  { model, loadModel }: { readonly model: RunInput; readonly loadModel: () => Promise<LanguageModel> },
  prompts: readonly EvalPromptRow[],
  { max_new_tokens }: AlignConfig,
  output: string,
  { signal, progress, found }: PartWorld,
) {
  const shown = progress(`answers of ${stage}`, 'answers')
  // Answers of another model, to other prompts or of another length are not those of this job.
  const asked = describeRows('the evaluation prompts', prompts)
  const key = createHash('sha256')
    .update(JSON.stringify([model.sha256, asked.sha256, max_new_tokens]))
    .digest('hex')
    .slice(0, 12)
  const file = join(output, 'answers', `${stage}-${key}.jsonl`)
  found('finished')
  const onAnswer = (done: number) => shown.set(done, prompts.length)
  const begin = () => {
    found('new')
    onAnswer(0)
    return loadModel()
  }
  const answers = await answersOf(begin, prompts, file, { maxNewTokens: max_new_tokens, signal, onAnswer })
  shown.end()
  return answers
}

/** Runs one trainer in its folder, unless that is finished. `train` gives what writes the model. */
async function stage(
  name: Stage,
  config: Readonly<Record<string, unknown>>,
  inputs: RunInputs,
  { openRun, progress, found, ...world }: PartWorld,
  train: (world: TrainerWorld) => Promise<(folder: string) => Promise<void>>,
): Promise<void> {
  const shown = progress(name, 'steps')
  const open = async () => {
    const run = await openRun(name, config, inputs)
    found(run.state)
    return run
  }
  try {
    await runTrainer({ ...world, openRun: open, onStep: shown.set }, train)
  } catch (error) {
    throw asOfJob(error, name)
  } finally {
    shown.end()
  }
}

async function sftStage(
  config: SftConfig,
  { demonstrations }: AlignData,
  inputs: RunInputs & { readonly model: RunInput },
  world: PartWorld,
): Promise<void> {
  await stage('sft', config, inputs, world, async (trainer) => {
    const model = await loadLanguageModel(inputs.model.path)
    const { trainable } = await trainSft(config, model, { train: demonstrations }, trainer)
    return async (folder) => writeTrainedModel(folder, model, await trainable.merged())
  })
}

async function rewardStage(
  config: RewardConfig,
  { preferences }: AlignData,
  inputs: RunInputs & { readonly model: RunInput },
  world: PartWorld,
): Promise<void> {
  await stage('reward', config, inputs, world, async (trainer) => {
    const model = await loadLanguageModel(inputs.model.path)
    const result = await trainReward(config, model, { train: preferences }, trainer)
    return (folder) => writeRewardModel(folder, model, result)
  })
}

async function ppoStage(
  config: PpoConfig,
  { prompts }: AlignData,
  inputs: RunInputs & { readonly model: RunInput; readonly reward_model: RunInput },
  world: PartWorld,
): Promise<void> {
  await stage('ppo', config, inputs, world, async (trainer) => {
    const policy = await loadLanguageModel(inputs.model.path)
    const rewardModel = await loadLanguageModel(inputs.reward_model.path)
    const { trainable } = await trainPpo(config, { policy, rewardModel }, prompts, trainer)
    return async (folder) => writeTrainedModel(folder, policy, await trainable.merged())
  })
}

async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) ?? undefined)
}
