import { PlumblineError } from '@plumbline/contracts'
import type { Random } from '@plumbline/engine'
import type { PpoConfig, PromptRow } from '../config.ts'
import { planBatches } from '../parts/batches.ts'
import { encodePrompt } from '../parts/encode.ts'
import { rowName } from '../parts/row-place.ts'
import type { EncodedPrompt } from './episode.ts'
import type { PpoModels } from './models.ts'

/** Prompts as tokens. Those whose answers would not fit into all models are left out, and said. */
export function encodePrompts(
  { response_length }: PpoConfig,
  { policy, rewardModel, referenceModel = policy }: PpoModels,
  rows: readonly PromptRow[],
  log: (text: string) => void,
): EncodedPrompt[] {
  const positions = [policy, rewardModel, referenceModel].map(({ config }) => config.maxPositions)
  const limit = Math.min(...positions) - response_length
  const encoded = rows.map((row, i) => {
    return { prompt: row.prompt, promptIds: encodePrompt(policy.tokenizer, row.prompt, rowName(row, i)), row: i + 1 }
  })
  const kept = encoded.filter(({ promptIds }) => promptIds.length <= limit)
  if (kept.length === 0)
    throw new PlumblineError(
      'NOTHING_TO_LEARN',
      `no prompt leaves room for an answer of ${response_length} tokens: at most ${limit} tokens of a prompt fit.`,
      { hint: 'Lower --response-length, or shorten the prompts.' },
    )
  if (kept.length < rows.length)
    log(
      `${rows.length - kept.length} of ${rows.length} prompts are longer than ${limit} tokens, which leaves no room for the answer, and were left out.`,
    )
  return kept
}

/** The prompts of every iteration, by index. */
export function planIterations(prompts: number, config: PpoConfig, random: Random): number[][] {
  const batchSize = config.per_device_train_batch_size * config.gradient_accumulation_steps
  const steps = config.total_episodes === undefined ? config.max_steps : Math.ceil(config.total_episodes / batchSize)
  // A batch is always full: prompts repeat when there are fewer than episodes.
  const repeats = Math.max(1, Math.ceil(batchSize / prompts))
  const lengths = new Array<number>(prompts * repeats).fill(1)
  return planBatches(lengths, { batchSize, epochs: config.num_train_epochs, maxSteps: steps, random }).map((batch) =>
    batch.map((index) => index % prompts),
  )
}
