import type { ParameterMap } from '@plumbline/engine'
import { cacheBytes, type LanguageModel, type TargetSequence } from '@plumbline/models'
import { completionsOf } from './completions.ts'
import { numbersIn } from './memory.ts'
import type { SampleRow } from './run-logs.ts'

/** Rows that samples.jsonl shows each time: the first ones. */
export const SAMPLED_ROWS = 4

/** Enough to see how a model answers. */
const NEW_TOKENS = 64

/** Numbers in memory beside training: a cache, and with an adapter the model that is made of both. */
export function numbersOfSamples(
  { config, parameters }: Pick<LanguageModel, 'config' | 'parameters'>,
  { adapter }: { readonly adapter?: object },
  longestRow: number,
): number {
  const cache = (SAMPLED_ROWS * (longestRow + NEW_TOKENS) * cacheBytes(config)) / Float32Array.BYTES_PER_ELEMENT
  return cache + (adapter ? numbersIn(parameters) : 0)
}

/** Greedy answers to what stands before the first target of rows, as samples.jsonl shows them. Throws LOGITS_NOT_FINITE. */
export async function trainingSamples(
  model: LanguageModel,
  parameters: ParameterMap,
  rows: readonly TargetSequence[],
): Promise<SampleRow[]> {
  const prompts = rows.map(({ ids, targets }) => ids.slice(0, targets[0]))
  const room = model.config.maxPositions - Math.max(...prompts.map(({ length }) => length))
  const options = { maxNewTokens: Math.min(NEW_TOKENS, room), temperature: 0, seed: 0 }
  const samples = new Array<SampleRow>(rows.length)
  for await (const { promptIndex, text, finishReason } of completionsOf(model, parameters, prompts, options))
    samples[promptIndex] = {
      prompt: model.tokenizer.decode(prompts[promptIndex]),
      completion: text,
      finish_reason: finishReason,
    }
  return samples
}
