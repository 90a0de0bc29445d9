import { PlumblineError } from '@plumbline/contracts'
import { type CompileOptions, compile, matmul, type ParameterMap, reshape, type Value } from '@plumbline/engine'
import { checkSequenceLengths, compareTokens, type PromptCompletion, raggedFeeds, shareTokens } from './batch.ts'
import type { ModelConfig } from './config.ts'
import { buildRaggedForward } from './forward.ts'
import { SCORE_HEAD } from './head-names.ts'
import type { LanguageModel } from './language-model.ts'

/** Scores of whole texts by a reward model. It reads the parameters anew at each call. */
export interface RewardScorer {
  /**
   * The reward of each sequence, read at its last token. Throws EMPTY_PROMPT and SEQUENCE_TOO_LONG, and between two
   * batches the reason of an aborted `signal`.
   */
  rewards(sequences: readonly (readonly number[])[], options?: RewardsOptions): Promise<number[]>
  dispose(): Promise<void>
}

export interface RewardsOptions {
  readonly signal?: AbortSignal
  /** Called after each batch with how many sequences have their reward. */
  readonly onScored?: (done: number) => void
}

/**
 * A whole answer as a reward model reads it: up to the token that ends it, just as a model that generates leaves it.
 * Chat templates write a line feed behind that token, and plain text lacks it; the score would be read elsewhere.
 */
export function scoredIds(
  { promptIds, completionIds }: PromptCompletion,
  { stopTokenIds, tokenizer }: Pick<LanguageModel, 'stopTokenIds' | 'tokenizer'>,
): number[] {
  const end = completionIds.findLastIndex((id) => stopTokenIds.includes(id)) + 1
  if (end > 0 && tokenizer.decode(completionIds.slice(end)).trim() === '')
    return [...promptIds, ...completionIds.slice(0, end)]
  const { eosTokenId } = tokenizer
  return eosTokenId === undefined ? [...promptIds, ...completionIds] : [...promptIds, ...completionIds, eosTokenId]
}

/** Most tokens of the sequences in one forward pass, were all as long as the longest. */
const BATCH_TOKENS = 2048

/** Throws EMPTY_PROMPT or SEQUENCE_TOO_LONG, naming the row. */
export function checkRewardable(
  config: ModelConfig,
  sequences: readonly (readonly number[])[],
  nameOf = (index: number) => `row ${index + 1}`,
): void {
  const lengths = sequences.map(({ length }) => length)
  const empty = lengths.indexOf(0)
  if (empty >= 0)
    throw new PlumblineError('EMPTY_PROMPT', `${nameOf(empty)} has no tokens to score.`, {
      hint: 'Give the prompt or the completion some text.',
    })
  checkSequenceLengths(config, lengths, nameOf)
}

/** Throws NOT_A_REWARD_MODEL, naming the model, unless it has a score head with one label. */
export function checkRewardModel(config: ModelConfig, parameters: ParameterMap, name = 'the reward model'): void {
  const shape = parameters.get(SCORE_HEAD)?.shape
  if (shape?.join() === [1, config.hiddenSize].join()) return
  const found =
    shape === undefined
      ? `has no ${SCORE_HEAD}: it is a plain language model`
      : `has a ${SCORE_HEAD} of [${shape.join(', ')}], not [1, ${config.hiddenSize}]`
  throw new PlumblineError('NOT_A_REWARD_MODEL', `${name} ${found}, and cannot score answers.`, {
    hint: 'A reward model is a …ForSequenceClassification with one label. plumb reward --data pairs.jsonl --output runs/reward makes one: runs/reward/model.',
  })
}

/** Compiles a reward model: a `…ForSequenceClassification` with one label. Throws NOT_A_REWARD_MODEL. */
export async function createRewardScorer(
  config: ModelConfig,
  parameters: ParameterMap,
  { threads }: Pick<CompileOptions, 'threads'> = {},
): Promise<RewardScorer> {
  checkRewardModel(config, parameters)
  const { graph, hiddenAtRows, model } = buildRaggedForward(config)
  const scores = matmul(hiddenAtRows(), model.parameter(SCORE_HEAD, [1, config.hiddenSize]), { transposeB: true })
  const program = await compile(graph, { rewards: reshape(scores, { shape: ['M'] }) }, { threads })
  const weights: Record<string, Value> = Object.fromEntries(parameters)

  return {
    async rewards(sequences, { signal, onScored } = {}) {
      checkRewardable(config, sequences)
      const rewards = new Array<number>(sequences.length)
      let done = 0
      for (const indices of batchesByBeginning(sequences)) {
        signal?.throwIfAborted()
        const batch = indices.map((index) => sequences[index])
        const shared = shareTokens(batch)
        const rows = Int32Array.from(shared.places, (tokens) => tokens.at(-1)!)
        const feeds = { ...raggedFeeds(config, batch, shared), rows: { data: rows, shape: [batch.length] } }
        const scored = await program.run({ ...weights, ...feeds })
        indices.forEach((index, i) => {
          rewards[index] = scored.rewards.data[i] as number
        })
        done += batch.length
        onScored?.(done)
      }
      return rewards
    },
    dispose: () => program.dispose(),
  }
}

/** Indices of sequences in batches. Those that begin alike are together, so that their beginning is computed once. */
function batchesByBeginning(sequences: readonly (readonly number[])[]): number[][] {
  const order = sequences.map((_, index) => index).toSorted((a, b) => compareTokens(sequences[a], sequences[b]))
  const batches: number[][] = []
  let longest = 0
  for (const index of order) {
    const batch = batches.at(-1)
    longest = Math.max(longest, sequences[index].length)
    if (batch && (batch.length + 1) * longest <= BATCH_TOKENS) batch.push(index)
    else {
      batches.push([index])
      longest = sequences[index].length
    }
  }
  return batches
}
