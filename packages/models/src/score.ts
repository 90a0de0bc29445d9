import { PlumblineError } from '@plumbline/contracts'
import { type CompileOptions, compile, type ParameterMap, type Value } from '@plumbline/engine'
import { checkSequenceLengths, completionFeeds, type PromptCompletion } from './batch.ts'
import type { ModelConfig } from './config.ts'
import { buildForward, checkHead, targetLogprobs } from './forward.ts'

/** Log-probabilities of given tokens. It reads the parameters anew at each call, so it sees a model in training. */
export interface Scorer {
  /**
   * log p(completion token | what stands before it), one list per row. A completion that follows nothing has no
   * probability for its first token: EMPTY_PROMPT. Throws SEQUENCE_TOO_LONG.
   */
  logprobs(rows: readonly PromptCompletion[]): Promise<Float32Array[]>
  dispose(): Promise<void>
}

/** Most tokens, padding included, in one forward pass. */
const BATCH_TOKENS = 1024

/** Compiles a scorer. Throws NOT_A_LANGUAGE_MODEL. */
export async function createScorer(
  config: ModelConfig,
  parameters: ParameterMap,
  { threads }: Pick<CompileOptions, 'threads'> = {},
): Promise<Scorer> {
  checkHead(config, parameters)
  const forward = buildForward(config)
  const program = await compile(forward.graph, { logprobs: targetLogprobs(forward) }, { threads })
  const weights: Record<string, Value> = Object.fromEntries(parameters)

  async function scoreBatch(batch: readonly PromptCompletion[]): Promise<Float32Array[]> {
    if (batch.every(({ completionIds }) => completionIds.length === 0)) return batch.map(() => new Float32Array())
    const { logprobs } = await program.run({ ...weights, ...completionFeeds(config, batch) })
    const scored = logprobs.data as Float32Array
    let end = 0
    return batch.map(({ completionIds }) => {
      end += completionIds.length
      return scored.slice(end - completionIds.length, end)
    })
  }

  return {
    async logprobs(rows) {
      checkScorable(config, rows)
      const results: Float32Array[] = Array.from({ length: rows.length })
      for (const indices of lengthSortedBatches(rows.map(lengthOf), BATCH_TOKENS)) {
        const scored = await scoreBatch(indices.map((index) => rows[index]))
        indices.forEach((index, i) => {
          results[index] = scored[i]
        })
      }
      return results
    },
    dispose: () => program.dispose(),
  }
}

/** Throws EMPTY_PROMPT or SEQUENCE_TOO_LONG, naming the row. */
export function checkScorable(
  config: ModelConfig,
  rows: readonly PromptCompletion[],
  nameOf = (index: number) => `row ${index + 1}`,
): void {
  const empty = rows.findIndex(({ promptIds, completionIds }) => promptIds.length === 0 && completionIds.length > 0)
  if (empty >= 0)
    throw new PlumblineError('EMPTY_PROMPT', `${nameOf(empty)}: nothing stands before the completion's first token.`, {
      hint: 'Give it a prompt of at least one token.',
    })
  checkSequenceLengths(config, rows.map(lengthOf), nameOf)
}

const lengthOf = ({ promptIds, completionIds }: PromptCompletion) => promptIds.length + completionIds.length

/** Indices of sequences in batches of like lengths, so that little is padding; none has more tokens than asked, if it can. */
export function lengthSortedBatches(lengths: readonly number[], tokens: number): number[][] {
  const order = lengths.map((_, index) => index).toSorted((a, b) => lengths[b] - lengths[a] || a - b)
  const batches: number[][] = []
  for (const index of order) {
    const batch = batches.at(-1)
    if (batch && (batch.length + 1) * lengths[batch[0]] <= tokens) batch.push(index)
    else batches.push([index])
  }
  return batches
}
