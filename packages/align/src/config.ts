/** Config schemas of the trainers, apart from their code: a command's help needs these and no tensor library. */
import { z } from 'zod'

/** How long training goes on and how often it tells and saves, by TRL's flags. */
const scheduleFields = {
  per_device_train_batch_size: z.number().int().min(1).default(8).describe('rows of a batch'),
  gradient_accumulation_steps: z.number().int().min(1).default(1).describe('batches of an optimizer step'),
  num_train_epochs: z.number().positive().default(3).describe('times each row is seen; maybe not whole'),
  max_steps: z
    .number()
    .int()
    .min(-1)
    .refine((steps) => steps !== 0, 'must be -1 or at least 1')
    .default(-1)
    .describe('optimizer steps; -1: as many as the epochs have'),
  micro_batch_tokens: z
    .number()
    .int()
    .min(1)
    .default(1024)
    .describe('tokens computed at once: fewer need less memory, the gradient is the same'),
  logging_steps: z.number().int().min(1).default(10).describe('steps between two lines of metrics'),
  eval_steps: z.number().int().min(0).default(0).describe('steps between two evaluations; 0: at the end only'),
  save_steps: z.number().int().min(0).default(500).describe('steps between two checkpoints; 0: at the end only'),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(42).describe('same seed, same run'),
}

/** Of trainers that measure on held-out rows. */
const bestFields = {
  load_best_model_at_end: z
    .boolean()
    .default(false)
    .describe('end with the checkpoint of the lowest eval_loss, not with the last'),
}

/** Optimizer and schedule by TRL's flags; a trainer overrides the learning rate. */
const optimizationFields = {
  lr_scheduler_type: z
    .enum(['constant', 'constant_with_warmup', 'linear', 'cosine'])
    .default('linear')
    .describe('how the learning rate goes on'),
  warmup_steps: z.number().int().min(0).default(0).describe('steps over which the learning rate rises from 0'),
  weight_decay: z.number().min(0).default(0).describe('decoupled decay of weights, not of norms and biases'),
  adam_beta1: z.number().min(0).lt(1).default(0.9).describe('AdamW: memory of the mean gradient'),
  adam_beta2: z.number().min(0).lt(1).default(0.999).describe('AdamW: memory of the squared gradient'),
  adam_epsilon: z.number().positive().default(1e-8).describe('AdamW: smallest divisor'),
  max_grad_norm: z.number().positive().default(1).describe('gradients longer than this are scaled down'),
}

/** LoRA by TRL's flags. */
const loraFields = {
  use_peft: z.boolean().default(false).describe('train a LoRA adapter and leave the model as it is'),
  lora_r: z.number().int().min(1).max(4096).default(16).describe('rank of the adapter'),
  lora_alpha: z.number().positive().default(32).describe('strength of the adapter: it counts alpha / rank'),
  lora_dropout: z.number().min(0).lt(1).default(0.05).describe("dropout of the adapter's input"),
  lora_target_modules: z.array(z.string()).default(['all-linear']).describe('layers to adapt, such as q_proj,v_proj'),
  lora_skip_share: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('share of the layers, from the lowest, that get no adapter: faster, nothing is differentiated below'),
}

type Fields<Shape extends Record<string, z.ZodType>> = { readonly [Key in keyof Shape]: z.output<Shape[Key]> }
export type LoraConfig = Fields<typeof loraFields>

/** What is set of an adapter although none is trained. */
export function idleLoraFields(config: LoraConfig): string[] {
  const isSet = (name: keyof LoraConfig) =>
    JSON.stringify(config[name]) !== JSON.stringify(loraFields[name].parse(undefined))
  return config.use_peft ? [] : (Object.keys(loraFields) as (keyof LoraConfig)[]).filter(isSet)
}

export type OptimizationConfig = Fields<typeof optimizationFields> & { readonly learning_rate: number }

export const sftConfig = z.object({
  learning_rate: z.number().positive().default(2e-5).describe('highest learning rate'),
  max_length: z.number().int().min(2).default(1024).describe('longer rows are cut at the end'),
  packing: z
    .boolean()
    .default(false)
    .describe('fill each step up to batch size × max length tokens; rows never see each other'),
  opening_epochs: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'further passes, at the end, over the opening of each answer alone, where a model decides whether to refuse; with them, a run cannot be made longer later',
    ),
  opening_tokens: z.number().int().min(1).default(8).describe('tokens of an opening'),
  sample_steps: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe(
      'steps between two looks at what the model answers, greedily, to the first 4 held-out rows or rows of the data, in samples.jsonl; 0: none',
    ),
  ...scheduleFields,
  ...bestFields,
  ...optimizationFields,
  ...loraFields,
})
export type SftConfig = z.output<typeof sftConfig>

export const rewardConfig = z.object({
  learning_rate: z.number().positive().default(1e-4).describe('highest learning rate'),
  max_length: z.number().int().min(2).default(1024).describe('rows with a longer answer are left out'),
  center_rewards_coefficient: z
    .number()
    .min(0)
    .default(0)
    .describe('pulls the mean reward of pairs to zero; 0.01 is usual'),
  eval_fraction: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe('rows held out, by whole prompts, when there is no --eval-data'),
  contrast_epochs: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'further passes, at the end, over the pairs with "contrast": true alone, whose answers differ in the decision; with them, a run cannot be made longer later',
    ),
  ...scheduleFields,
  ...bestFields,
  num_train_epochs: z.number().positive().default(1).describe('times each pair is seen; maybe not whole'),
  ...optimizationFields,
  ...loraFields,
})
export type RewardConfig = z.output<typeof rewardConfig>

const { eval_steps: _, ...ppoScheduleFields } = scheduleFields

export const ppoConfig = z.object({
  learning_rate: z.number().positive().default(3e-6).describe('highest learning rate'),
  ...ppoScheduleFields,
  per_device_train_batch_size: z.number().int().min(1).default(64).describe('episodes of one iteration'),
  // Beside three or four models, what is computed at once decides whether all of them fit.
  micro_batch_tokens: scheduleFields.micro_batch_tokens.default(768),
  // A policy that runs away leaves nothing but its checkpoints, and an iteration takes longer than to save one.
  save_steps: scheduleFields.save_steps.default(10),
  num_ppo_epochs: z.number().int().min(1).default(4).describe('times each rollout is learned from'),
  num_mini_batches: z.number().int().min(1).default(1).describe('optimizer steps of one such pass'),
  total_episodes: z.number().int().min(1).optional().describe('episodes in all; otherwise the epochs decide'),
  response_length: z.number().int().min(1).default(53).describe('longest answer, in tokens'),
  temperature: z.number().positive().default(0.7).describe('of sampling and of all log-probabilities'),
  kl_coef: z.number().min(0).default(0.05).describe('weight of the KL penalty; the first one when it adapts'),
  kl_estimator: z
    .enum(['k1', 'k3'])
    .default('k1')
    .describe('estimator of the KL in the reward; the gradient of k3 there is not that of the KL'),
  kl_target: z.number().positive().optional().describe('aim at this KL of an answer, in nats, by adapting kl_coef'),
  kl_horizon: z.number().positive().default(10_000).describe('episodes over which kl_coef adapts'),
  max_kl: z.number().positive().default(100).describe('stop when the mean KL of an answer exceeds this, in nats'),
  max_score_change: z
    .number()
    .positive()
    .default(10)
    .describe(
      'stop when the mean score has moved further than this from that of the first rollout, in standard deviations of the answers that the reward model was trained on',
    ),
  cliprange: z.number().positive().default(0.2).describe('clips the probability ratio'),
  cliprange_value: z.number().positive().default(0.2).describe('clips the change of the values'),
  value_model: z
    .enum(['shared', 'separate'])
    .default('shared')
    .describe(
      "shared: a head on the policy's trunk, half the work and memory; separate: a model of its own that starts as the reward model, as in TRL",
    ),
  vf_coef: z.number().min(0).default(0.1).describe('weight of the value loss'),
  entropy_coef: z.number().min(0).default(0).describe('weight of the entropy bonus'),
  gamma: z.number().min(0).max(1).default(1).describe('discount of later rewards'),
  lam: z.number().min(0).max(1).default(0.95).describe('lambda of the generalized advantages'),
  whiten_rewards: z.boolean().default(false).describe('scale rewards to variance 1'),
  normalize_reward: z.boolean().default(true).describe('use the mean and deviation stored with the reward model'),
  missing_eos_penalty: z
    .number()
    .min(0)
    .optional()
    .describe('subtracted from the score of an answer that does not end'),
  ...optimizationFields,
  adam_epsilon: z.number().positive().default(1e-5).describe('AdamW: smallest divisor'),
  ...loraFields,
})
export type PpoConfig = z.output<typeof ppoConfig>

/**
 * The main job: one flag for what a user of it may want to change, its stages' other values as above.
 */
export const alignConfig = z.object({
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(42).describe('same seed, same run'),
  max_new_tokens: z.number().int().min(1).default(64).describe('longest answer, in rollouts and in the evaluation'),
  micro_batch_tokens: scheduleFields.micro_batch_tokens.default(2048),
  ...loraFields,
  use_peft: z.boolean().default(true).describe('train adapters, which are faster; otherwise all weights'),
  lora_dropout: z.number().min(0).lt(1).default(0).describe("dropout of the adapters' input"),
  lora_skip_share: z
    .number()
    .min(0)
    .lt(1)
    .default(0.4)
    .describe('share of the layers, from the lowest, that get no adapter'),
  sft_learning_rate: z.number().positive().default(1e-3).describe('fine-tuning: highest learning rate'),
  sft_opening_epochs: z
    .number()
    .min(0)
    .default(1.5)
    .describe('fine-tuning: last passes over the opening of each answer alone'),
  sft_opening_tokens: z.number().int().min(1).default(3).describe('fine-tuning: tokens of an opening'),
  sft_epochs: z.number().positive().default(0.6).describe('fine-tuning: times each whole demonstration is seen'),
  reward_learning_rate: z
    .number()
    .positive()
    .optional()
    .describe('reward model: highest learning rate (2e-3 where pairs say "contrast": true, else 1e-3)'),
  reward_epochs: z
    .number()
    .positive()
    .optional()
    .describe('reward model: times each pair is seen (0.5 where pairs say "contrast": true, else 2)'),
  reward_contrast_epochs: z
    .number()
    .min(0)
    .default(1)
    .describe('reward model: last passes over the pairs with "contrast": true alone'),
  reward_lora_skip_share: z
    .number()
    .min(0)
    .lt(1)
    .default(0.7)
    .describe('reward model: share of the layers, from the lowest, that get no adapter'),
  ppo_learning_rate: z.number().positive().default(2e-4).describe('PPO: highest learning rate'),
  ppo_iterations: z.number().int().min(1).default(3).describe('PPO: rollouts'),
  ppo_batch_size: z.number().int().min(1).default(16).describe('PPO: answers of a rollout'),
  ppo_epochs: z.number().int().min(1).default(2).describe('PPO: times each rollout is learned from'),
  temperature: z.number().positive().default(0.7).describe('PPO: of sampling and of all log-probabilities'),
  kl_coef: z.number().min(0).default(0.03).describe('PPO: weight of the KL penalty'),
})
export type AlignConfig = z.output<typeof alignConfig>

/** The rows that trainers read: TRL's columns, standard (text) or conversational (messages). */
const message = z.looseObject({ role: z.string(), content: z.string() })
const messages = z.array(message).min(1)
const textOrMessages = z.union([z.string(), messages])

/** The trainers by the columns that they need, the one that needs most first. */
const columnsByTrainer = [
  ['plumb reward', ['prompt', 'chosen', 'rejected']],
  ['plumb reward', ['prompt', 'completion', 'score']],
  ['plumb sft', ['prompt', 'completion']],
  ['plumb sft', ['messages']],
  ['plumb sft', ['text']],
] as const

export type TrainerCommand = (typeof columnsByTrainer)[number][0] | 'plumb ppo'

/**
 * A next step for rows that a trainer cannot use: the one that they are for. `nameOf`: what a trainer is called, for the
 * columns that it needs.
 */
export function trainerHint(
  columns: readonly string[],
  nameOf = (trainer: TrainerCommand, _columns: readonly string[]): string => trainer,
): string | undefined {
  const isPromptAlone = columns.includes('prompt') && !columns.includes('chosen') && !columns.includes('rejected')
  const found = columnsByTrainer.find(([, needed]) => needed.every((name) => columns.includes(name)))
  const [trainer, used] = found ?? (['plumb ppo', ['prompt']] as const)
  if (!found && !isPromptAlone) return undefined
  const named = used.map((name) => `"${name}"`)
  return `Rows with ${named.join(', ')} are for ${nameOf(trainer, used)}.`
}

// Loose: of a row that does not fit, the other columns tell what it is for.
export const sftRowSchema = z
  .looseObject({
    messages: messages.optional(),
    prompt: textOrMessages.optional(),
    completion: textOrMessages.optional(),
    text: z.string().optional(),
    /** How much each of its target tokens counts in the loss, beside 1 for those of other rows. */
    weight: z.number().positive().optional(),
  })
  .superRefine((row, { addIssue }) => {
    const isPair = row.prompt !== undefined && row.completion !== undefined
    if (isPair && row.score !== undefined) {
      const message =
        '"score" says how good the completion is, and plumb sft would learn bad ones too; without that column it learns from all'
      addIssue({ code: 'custom', path: [], message })
    }
    if (row.messages || row.text !== undefined || isPair) return
    const names = Object.keys(row).map((name) => `"${name}"`)
    const message = `plumb sft learns from "messages", from "prompt" and "completion", or from "text"; this row has ${names.join(', ') || 'no columns'}`
    addIssue({ code: 'custom', path: [], message })
  })
export type SftRow = z.infer<typeof sftRowSchema>

export const preferenceRowSchema = z.object({
  prompt: textOrMessages,
  chosen: textOrMessages,
  rejected: textOrMessages,
  margin: z.number().optional(),
  /** The answers differ in the decision, as a refusal and an answer do; see `contrast_epochs`. */
  contrast: z.boolean().optional(),
})
export type PreferenceRow = z.infer<typeof preferenceRowSchema>

const scoredRowSchema = z.object({ prompt: textOrMessages, completion: textOrMessages, score: z.number() })
/** An answer and the score that it was given. */
export type ScoredRow = z.infer<typeof scoredRowSchema>

/** What `plumb reward` learns from: pairs, or answers with scores. */
export const rewardRowSchema = z
  .looseObject({ ...preferenceRowSchema.partial().shape, ...scoredRowSchema.partial().shape })
  .superRefine((row, { addIssue }) => {
    const has = (name: string) => Object.hasOwn(row, name)
    const isPair = has('chosen') || has('rejected')
    if (isPair && has('completion') && has('score')) {
      const message = 'the row is a pair and an answer with a score at once; remove the columns of one of them'
      addIssue({ code: 'custom', path: [], message })
    }
    const needed = isPair ? ['chosen', 'rejected'] : has('completion') || has('score') ? ['completion', 'score'] : []
    const missing = ['prompt', ...needed].find((name) => !has(name)) ?? (needed.length === 0 ? 'chosen' : undefined)
    if (missing !== undefined) addIssue({ code: 'custom', path: [missing], message: 'is missing' })
  })
export type RewardRow = z.infer<typeof rewardRowSchema>

export const promptRowSchema = z.object({ prompt: textOrMessages })
/** What a row of prompts does not have: with answers it is one of pairs or demonstrations. */
export const answerColumns = ['chosen', 'rejected', 'completion'] as const
export type PromptRow = z.infer<typeof promptRowSchema>

export const evalPromptRowSchema = promptRowSchema.extend({
  kind: z.enum(['harmful', 'sensitive', 'plain']),
  category: z.string().optional(),
})
/** A held-out prompt: harmful requests should be refused, the others answered. */
export type EvalPromptRow = z.infer<typeof evalPromptRowSchema>
