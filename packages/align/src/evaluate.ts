import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  checkPromptLengths,
  createDecoder,
  createRewardScorer,
  createTextStream,
  generate,
  type LanguageModel,
} from '@plumbline/models'
import type { EvalPromptRow } from './config.ts'
import { encodePrompt } from './parts/encode.ts'
import { rowName, shownRow } from './parts/row-place.ts'
import { replaceDurably } from './parts/run-files.ts'

/** A held-out prompt's answer by the model of one stage. */
export interface Answer {
  readonly text: string
  readonly tokenIds: readonly number[]
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
  const known = await readFile(path, 'utf8').catch(() => undefined)
  if (known !== undefined)
    return known
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  const model = await loadModel()
  const promptIds = prompts.map((row, i) => encodePrompt(model.tokenizer, row.prompt, rowName(row, i)))
  checkPromptLengths(promptIds, maxNewTokens, model.config.maxPositions, (i) => shownRow(rowName(prompts[i], i)))
  const length = Math.max(...promptIds.map((ids) => ids.length)) + maxNewTokens
  const decoder = await createDecoder(model.config, model.parameters, { slots: Math.min(32, prompts.length), length })
  const answers = new Array<Answer>(prompts.length)
  let done = 0
  const options = {
    maxNewTokens,
    temperature: 0,
    topP: 1,
    topK: 0,
    repetitionPenalty: 1,
    numGenerations: 1,
    seed: 0,
    stop: [],
    stopTokenIds: model.stopTokenIds,
    createTextStream: () => createTextStream(model.tokenizer, { skipSpecialTokens: true }),
    signal,
  }
  try {
    for await (const { promptIndex, text, tokenIds } of generate(decoder, promptIds, options)) {
      answers[promptIndex] = { text, tokenIds }
      onAnswer(++done)
    }
  } finally {
    await decoder.dispose()
  }
  await mkdir(dirname(path), { recursive: true })
  await replaceDurably(path, `${answers.map((answer) => JSON.stringify(answer)).join('\n')}\n`)
  return answers
}

/** The reward of each answer. */
export async function rewardsOf(
  rewardModel: LanguageModel,
  prompts: readonly EvalPromptRow[],
  answers: readonly Answer[],
): Promise<number[]> {
  const scorer = await createRewardScorer(rewardModel.config, rewardModel.parameters)
  const rewards = await scorer.rewards(
    prompts.map((row, i) => [
      ...encodePrompt(rewardModel.tokenizer, row.prompt, rowName(row, i)),
      ...answers[i].tokenIds,
    ]),
  )
  await scorer.dispose()
  return rewards
}
