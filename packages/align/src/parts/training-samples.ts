import type { ParameterMap } from '@plumbline/engine'
import type { LanguageModel, TargetSequence } from '@plumbline/models'
import { completionsOf } from './completions.ts'
import type { SampleRow } from './run-logs.ts'

/** Enough to see how a model answers. */
const NEW_TOKENS = 64

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
