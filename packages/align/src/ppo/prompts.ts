import { PlumblineError } from '@plumbline/contracts'
import type { Random } from '@plumbline/engine'
import type { PpoConfig, PromptRow } from '../config.ts'
import { shuffled } from '../parts/batches.ts'
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
      limit < 1
        ? `an answer of ${response_length} tokens is longer than the models can read: ${Math.min(...positions)} tokens.`
        : `no prompt leaves room for an answer of ${response_length} tokens: at most ${limit} tokens of a prompt fit.`,
      { hint: 'Lower --response-length, or shorten the prompts.' },
    )
  if (kept.length < rows.length)
    log(
      `${rows.length - kept.length} of ${rows.length} prompts are longer than ${limit} tokens, which leaves no room for the answer, and were left out.`,
    )
  return kept
}

/**
 * The prompts of every iteration, by index: epochs, each a fresh shuffle of all prompts, one after the other, cut into
 * full batches. The last one goes on into a further epoch, as TRL's does.
 */
export function planIterations(prompts: number, config: PpoConfig, random: Random): number[][] {
  const batchSize = config.per_device_train_batch_size * config.gradient_accumulation_steps
  const { total_episodes: episodes = prompts * config.num_train_epochs, max_steps } = config
  const isBySteps = config.total_episodes === undefined && max_steps >= 0
  const iterations = isBySteps ? max_steps : Math.ceil(episodes / batchSize - 1e-6)
  const epochs = Math.ceil((iterations * batchSize) / prompts)
  const order = Array.from({ length: epochs }, (_, epoch) => shuffled(prompts, random.fork(`epoch ${epoch}`))).flat()
  return Array.from({ length: iterations }, (_, i) => order.slice(i * batchSize, (i + 1) * batchSize))
}
