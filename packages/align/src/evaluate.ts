import { dirname } from 'node:path'
import {
  checkPromptLengths,
  createRewardScorer,
  type LanguageModel,
  makeFolder,
  type RewardsOptions,
} from '@plumbline/models'
import type { EvalPromptRow } from './config.ts'
import { completionsOf } from './parts/completions.ts'
import { encodePrompt } from './parts/encode.ts'
import { rowName, shownRow } from './parts/row-place.ts'
import { readJsonLines, replaceDurably } from './parts/run-files.ts'

/** A held-out prompt's answer by the model of one stage. */
export interface Answer {
  readonly text: string
  readonly tokenIds: readonly number[]
  /** `length`: cut off at the limit. Files of earlier versions do not say. */
  readonly finishReason?: 'stop' | 'length'
}

/**
 * The likeliest answer to each prompt, in order. Written to `path` when all are there, and read from it when a resumed
 * job has them already: whatever they depend on has to be part of the path. Throws PROMPT_TOO_LONG.
 */
export async function answersOf(
  loadModel: () => Promise<LanguageModel>,
  prompts: readonly EvalPromptRow[],
  path: string,
  { maxNewTokens, signal, onAnswer }: { maxNewTokens: number; signal: AbortSignal; onAnswer: (done: number) => void },
): Promise<Answer[]> {
  // What is no whole file of ours is made again.
  const known = await readJsonLines<Answer>(path).catch(() => [])
  if (known.length === prompts.length) return known
  const model = await loadModel()
  const promptIds = prompts.map((row, i) => encodePrompt(model.tokenizer, row.prompt, rowName(row, i)))
  checkPromptLengths(promptIds, maxNewTokens, model.config.maxPositions, (i) => shownRow(rowName(prompts[i], i)))
  const answers = new Array<Answer>(prompts.length)
  let done = 0
  const options = { maxNewTokens, temperature: 0, seed: 0, signal }
  for await (const completion of completionsOf(model, model.parameters, promptIds, options)) {
    const { promptIndex, text, tokenIds, finishReason } = completion
    answers[promptIndex] = { text, tokenIds, finishReason }
    onAnswer(++done)
  }
  await makeFolder(dirname(path))
  await replaceDurably(path, `${answers.map((answer) => JSON.stringify(answer)).join('\n')}\n`)
  return answers
}

/** The reward of each answer, for several lists of answers to the same prompts. */
export async function rewardsOf(
  rewardModel: LanguageModel,
  prompts: readonly EvalPromptRow[],
  lists: readonly (readonly Answer[])[],
  options: RewardsOptions,
): Promise<number[][]> {
  const scorer = await createRewardScorer(rewardModel.config, rewardModel.parameters)
  const promptIds = prompts.map((row, i) => encodePrompt(rewardModel.tokenizer, row.prompt, rowName(row, i)))
  // In one call, in which each prompt is read once.
  const rewards = await scorer.rewards(
    lists.flatMap((answers) => answers.map(({ tokenIds }, i) => [...promptIds[i], ...tokenIds])),
    options,
  )
  await scorer.dispose()
  return lists.map((_, list) => rewards.slice(list * prompts.length, (list + 1) * prompts.length))
}
