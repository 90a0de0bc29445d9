/** What the main job asks of its three trainers, and whether they can do it: known before the first of them starts. */
import { PlumblineError } from '@plumbline/contracts'
import { checkPromptLengths, type LanguageModel } from '@plumbline/models'
import type { AlignData } from './align.ts'
import {
  type AlignConfig,
  type PpoConfig,
  type PreferenceRow,
  ppoConfig,
  type RewardConfig,
  rewardConfig,
  type SftConfig,
  sftConfig,
} from './config.ts'
import { encodePrompt } from './parts/encode.ts'
import { rowName, shownRow } from './parts/row-place.ts'
import { preparePpo } from './ppo.ts'
import { prepareReward } from './reward.ts'
import { prepareSft } from './sft.ts'

export interface StageConfigs {
  readonly sft: SftConfig
  readonly reward: RewardConfig
  readonly ppo: PpoConfig
}

/** What learns the decision in its last passes needs fewer passes before them, at a higher rate (decision 9). */
const rewardDefaults = { contrasts: { rate: 2e-3, epochs: 0.5 }, none: { rate: 1e-3, epochs: 2 } }

export function stageConfigs(config: AlignConfig, preferences: readonly PreferenceRow[]): StageConfigs {
  const usual = rewardDefaults[preferences.some(({ contrast }) => contrast) ? 'contrasts' : 'none']
  const { seed, micro_batch_tokens, use_peft, lora_r, lora_alpha, lora_dropout } = config
  const { lora_target_modules, lora_skip_share } = config
  const lora = { use_peft, lora_r, lora_alpha, lora_dropout, lora_target_modules, lora_skip_share }
  // Every step is logged, checkpoints are rare since stages are short.
  const common = { seed, micro_batch_tokens, ...lora, logging_steps: 1, save_steps: 25 }
  return {
    sft: sftConfig.parse({
      ...common,
      learning_rate: config.sft_learning_rate,
      num_train_epochs: config.sft_epochs,
      opening_epochs: config.sft_opening_epochs,
      opening_tokens: config.sft_opening_tokens,
      per_device_train_batch_size: 16,
      lr_scheduler_type: 'cosine',
      warmup_steps: 5,
    }),
    reward: rewardConfig.parse({
      ...common,
      lora_skip_share: config.reward_lora_skip_share,
      learning_rate: config.reward_learning_rate ?? usual.rate,
      num_train_epochs: config.reward_epochs ?? usual.epochs,
      contrast_epochs: config.reward_contrast_epochs,
      center_rewards_coefficient: 0.01,
      eval_fraction: 0.15,
      warmup_steps: 3,
    }),
    ppo: ppoConfig.parse({
      ...common,
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
    }),
  }
}

/**
 * Throws what a stage that is still to come would throw for these rows and this memory, minutes or hours later. `model`
 * is the one that the job begins with: those of later stages have its shape.
 */
export function checkStages(
  { sft, reward, ppo }: StageConfigs,
  model: LanguageModel,
  { demonstrations, preferences, prompts, evalPrompts }: AlignData,
  { toCome, availableBytes }: { readonly toCome: readonly Stage[]; readonly availableBytes: number },
): void {
  // Each stage says what it leaves out when its turn comes.
  const world = { log: () => {}, availableBytes }
  const evaluated = evalPrompts.map((row, i) => encodePrompt(model.tokenizer, row.prompt, rowName(row, i)))
  checkPromptLengths(evaluated, ppo.response_length, model.config.maxPositions, (i) =>
    shownRow(rowName(evalPrompts[i], i)),
  )
  const checks = {
    sft: () => prepareSft(sft, model, { train: demonstrations }, world),
    reward: () => prepareReward(reward, model, { train: preferences }, world),
    ppo: () => preparePpo(ppo, { policy: model, rewardModel: model }, prompts, world),
  }
  for (const stage of toCome)
    try {
      checks[stage]()
    } catch (error) {
      throw asOfJob(error, stage)
    }
}

export type Stage = keyof StageConfigs

const stageFacts: Readonly<Record<Stage, { readonly name: string; readonly dataFlag: string }>> = {
  sft: { name: 'supervised fine-tuning', dataFlag: '--demonstrations' },
  reward: { name: 'reward model', dataFlag: '--preferences' },
  ppo: { name: 'PPO', dataFlag: '--prompts' },
}

const diskHint =
  'Free some space, or see to the disk and your rights to the folder; the same command goes on from the newest checkpoint.'

const startPpoAgain = 'Start PPO again with a higher --kl-coef or a lower --ppo-learning-rate.'

/** For a stage that can do nothing with the model of an earlier one. */
const startOver = (folders: string, stage: Stage) =>
  `Remove the folders ${folders} of this job, and give the same command with a lower --${stage}-learning-rate.`

/** What helps here where a trainer's own hint names flags that only its own command has. */
const hints: Readonly<Record<string, (stage: Stage) => string>> = {
  MEMORY_SHORT: (stage) =>
    `Lower --micro-batch-tokens${stage === 'ppo' ? ' or --max-new-tokens' : ''}, shorten the longest rows of ${stageFacts[stage].dataFlag}, leave --use-peft on, or give a smaller --model.`,
  NOT_FINITE: (stage) => `Lower --${stage}-learning-rate, or look at these rows of ${stageFacts[stage].dataFlag}.`,
  SCORES_NOT_FINITE: () => startOver('reward and ppo', 'reward'),
  REFERENCE_NOT_FINITE: () => startOver('sft, reward and ppo', 'sft'),
  NOTHING_TO_LEARN: (stage) =>
    `Look at ${stageFacts[stage].dataFlag}: its rows are too long for the model, or hold nothing to learn from.`,
  CHECKPOINT_FAILED: () => diskHint,
  RUN_NOT_WRITABLE: () => diskHint,
  POLICY_RAN_AWAY: () => startPpoAgain,
  SAMPLER_DISAGREES: () => startPpoAgain,
}

/** A trainer's error, with the stage that it is of and a next step that the main job can take. */
export function asOfJob(error: unknown, stage: Stage): unknown {
  if (!(error instanceof PlumblineError) || !Object.hasOwn(hints, error.code)) return error
  return new PlumblineError(error.code, `${stageFacts[stage].name}: ${error.message}`, {
    hint: hints[error.code](stage),
    cause: error,
  })
}
