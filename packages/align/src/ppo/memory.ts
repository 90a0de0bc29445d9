import type { PpoConfig } from '../config.ts'
import { checkMemory, numbersIn, USE_PEFT } from '../parts/memory.ts'
import type { Trainable } from '../parts/trainable.ts'
import type { EncodedPrompt } from './episode.ts'
import type { PpoModels } from './models.ts'

/** Throws MEMORY_SHORT, with what would help. */
export function checkPpoMemory(
  config: PpoConfig,
  { policy, rewardModel, referenceModel }: PpoModels,
  { parameters, firstLayer }: Trainable,
  prompts: readonly EncodedPrompt[],
  availableBytes: number,
): void {
  const isSeparate = config.value_model === 'separate'
  const [policyNumbers, rewardNumbers] = [policy, rewardModel].map(({ parameters }) => numbersIn(parameters))
  // The reference, or with an adapter what the decoder is made of; and what it packs. Where networks take turns they
  // leave what they computed between updates, and of gradients half, when the decoder is there.
  const trained = numbersIn(parameters)
  // An adapter on the reward model's trunk is about as large as the policy's. Heads are small.
  const trainedOfValues = isSeparate ? (config.use_peft ? trained : rewardNumbers) : 0
  const copies = 1 + (config.use_peft && referenceModel ? 1 : 0) + (isSeparate ? 0 : 1)
  const longestRow = Math.max(...prompts.map(({ promptIds }) => promptIds.length)) + config.response_length
  const episodes = config.per_device_train_batch_size * config.gradient_accumulation_steps
  // What frozen layers make of a rollout.
  const states = firstLayer === 0 ? 0 : (isSeparate ? 2 : 1) * episodes * longestRow * policy.config.hiddenSize
  checkMemory(
    {
      config: policy.config,
      parameters: policyNumbers,
      others: states + copies * policyNumbers + (isSeparate && !config.use_peft ? 2 : 1) * rewardNumbers,
      trainable: trained + trainedOfValues,
      gradients: Math.max(trained, trainedOfValues),
      microBatchTokens: microBatchTokens(config, prompts),
      longestRow,
    },
    {
      availableBytes,
      flags: ['--micro-batch-tokens', '--response-length'],
      alternatives: [
        ...(isSeparate ? ['put the value head on the policy with --value-model shared'] : []),
        ...(config.use_peft ? [] : [USE_PEFT]),
      ],
    },
  )
}

/** Of an average mini-batch with the longest answers, which is cut evenly. */
function microBatchTokens(config: PpoConfig, prompts: readonly EncodedPrompt[]): number {
  const episodes = (config.per_device_train_batch_size * config.gradient_accumulation_steps) / config.num_mini_batches
  const promptTokens = prompts.reduce((sum, { promptIds }) => sum + promptIds.length, 0) / prompts.length
  const tokens = episodes * (promptTokens + config.response_length)
  return tokens / Math.ceil(tokens / config.micro_batch_tokens)
}
