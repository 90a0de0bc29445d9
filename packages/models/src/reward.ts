import { PlumblineError } from '@plumbline/contracts'
import { type CompileOptions, compile, matmul, type ParameterMap, reshape, type Value } from '@plumbline/engine'
import { checkSequenceLengths, forwardFeeds, type PromptCompletion } from './batch.ts'
import type { ModelConfig } from './config.ts'
import { buildForward, rowsOf } from './forward.ts'
import { SCORE_HEAD } from './head-names.ts'
import type { LanguageModel } from './language-model.ts'
import { lengthSortedBatches } from './score.ts'

/** Scores of whole texts by a reward model. It reads the parameters anew at each call. */
export interface RewardScorer {
  /** The reward of each sequence, read at its last token. Throws EMPTY_PROMPT and SEQUENCE_TOO_LONG. */
  rewards(sequences: readonly (readonly number[])[]): Promise<number[]>
  dispose(): Promise<void>
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

/** Most tokens, padding included, in one forward pass. */
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
  const { graph, hidden, model } = buildForward(config)
  const last = rowsOf(hidden, graph.input('rows', 'int32', ['M'])) // [M, D]
  const scores = matmul(last, model.parameter(SCORE_HEAD, [1, config.hiddenSize]), { transposeB: true })
  const program = await compile(graph, { rewards: reshape(scores, { shape: ['M'] }) }, { threads })
  const weights: Record<string, Value> = Object.fromEntries(parameters)

  return {
    async rewards(sequences) {
      checkRewardable(config, sequences)
      const lengths = sequences.map(({ length }) => length)
      const rewards = new Array<number>(sequences.length)
      for (const indices of lengthSortedBatches(lengths, BATCH_TOKENS)) {
        const batch = indices.map((index) => sequences[index])
        const feeds = forwardFeeds(config, batch)
        const time = feeds.ids.shape[1]
        const rows = Int32Array.from(batch, ({ length }, row) => row * time + length - 1)
        const scored = await program.run({ ...weights, ...feeds, rows: { data: rows, shape: [batch.length] } })
        indices.forEach((index, i) => {
          rewards[index] = scored.rewards.data[i] as number
        })
      }
      return rewards
    },
    dispose: () => program.dispose(),
  }
}
