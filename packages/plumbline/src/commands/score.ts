import { located, PlumblineError } from '@plumbline/contracts'
import type { LanguageModel, PromptCompletion } from '@plumbline/models'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import {
  adapterField,
  chatTemplateField,
  modelField,
  type TextOrMessages,
  textOrMessages,
} from '../fields-of-models.ts'
import { dataName, readJsonLines } from '../json-lines.ts'
import { modelOptions, openModel, openRewardModel } from '../open-model.ts'
import type { World } from '../world.ts'
import { encodePrompt } from './generate.ts'

const row = z.object({ prompt: textOrMessages, completion: textOrMessages })
type Row = z.infer<typeof row>

const config = z.object({
  model: modelField,
  data: z.string().describe('JSON lines with the columns "prompt" and "completion": text or messages; - for stdin'),
  reward_model: z.string().optional().describe('a sequence-classification model with one label'),
  parse_special: z.boolean().default(false).describe('read special tokens in texts as such, as transformers does'),
  adapter: adapterField,
  chat_template: chatTemplateField,
})

export const score = defineCommand({
  name: 'score',
  summary: 'log-probabilities, and rewards, of given completions',
  description:
    'For messages, the completion is what the chat template adds behind the prompt with its generation prompt. For text, prompt and completion are tokenized apart and joined.',
  examples: [
    { line: 'plumb score --data rows.jsonl --json', does: 'how likely the model finds each completion' },
    {
      line: 'plumb score --data rows.jsonl --reward-model runs/reward/model --json',
      does: 'with the score of a reward model',
    },
  ],
  config,
  async run(config, world) {
    const rows: Row[] = []
    const lines: number[] = []
    for await (const { line, row: value } of readJsonLines(config.data, row, world)) {
      checkKinds(value, `${dataName(config.data)}:${line}`)
      rows.push(value)
      lines.push(line)
    }
    const nameOf = (index: number) => `${dataName(config.data)}:${lines[index]}`
    // Everything that can be wrong is looked at before the long part.
    const scoreRows = await openScorer(config, rows, nameOf, world)
    const rewardRows =
      config.reward_model === undefined
        ? undefined
        : await openRewardScorer(config.reward_model, config, rows, nameOf, world)
    const { encoded, logprobs } = await scoreRows()
    const rewards = await rewardRows?.()
    encoded.forEach(({ promptIds, completionIds }, i) => {
      const sum = logprobs[i].reduce((total, logprob) => total + logprob, 0)
      const reward = rewards && { reward: rewards[i] }
      if (world.json)
        world.emit({
          prompt_ids: promptIds,
          token_ids: completionIds,
          logprobs: Array.from(logprobs[i]),
          sum_logprob: sum,
          ...reward,
        })
      else {
        const mean = completionIds.length > 0 ? sum / completionIds.length : 0
        const shown = [`sum ${sum.toFixed(3)}`, `mean ${mean.toFixed(3)}`, `${completionIds.length} tokens`]
        world.stdout.write(
          `line ${lines[i]}: ${[...shown, ...(reward ? [`reward ${reward.reward.toFixed(3)}`] : [])].join(', ')}\n`,
        )
      }
    })
  },
})

function checkKinds({ prompt, completion }: Row, where: string): void {
  if (typeof prompt === typeof completion) return
  throw new PlumblineError('DATA_KINDS_DIFFER', `${where}: one of prompt and completion is text, the other messages.`, {
    hint: 'Give both as text, or both as messages.',
  })
}

async function encodeRows(
  model: LanguageModel,
  rows: readonly Row[],
  parseSpecial: boolean,
  nameOf: NameOf,
): Promise<PromptCompletion[]> {
  const { encodeChatCompletion } = await import('@plumbline/models')
  const encode = ({ prompt, completion }: Row): PromptCompletion => {
    if (typeof prompt !== 'string' && typeof completion !== 'string')
      return encodeChatCompletion(model.tokenizer, prompt, completion, { parseSpecial })
    const completionIds = model.tokenizer.encode(completion as string, { parseSpecial, addSpecialTokens: false })
    return { promptIds: encodePrompt(model, prompt as TextOrMessages, parseSpecial), completionIds }
  }
  return rows.map((row, index) => located(nameOf(index), () => encode(row)))
}

type ScoreConfig = z.output<typeof config>
type NameOf = (index: number) => string

/** Opens the model and checks the rows; what comes back does the work. */
async function openScorer(config: ScoreConfig, rows: readonly Row[], nameOf: NameOf, world: World) {
  const { checkLanguageModel, checkScorable, createScorer } = await import('@plumbline/models')
  const model = await openModel(config.model, world, modelOptions(config))
  checkLanguageModel(model.parameters, '--model')
  const encoded = await encodeRows(model, rows, config.parse_special, nameOf)
  checkScorable(model.config, encoded, nameOf)
  const scorer = await createScorer(model.config, model.parameters)
  return async () => {
    const logprobs = await inChunks('score', encoded, world, (chunk) => scorer.logprobs(chunk))
    await scorer.dispose()
    return { encoded, logprobs }
  }
}

async function openRewardScorer(
  name: string,
  config: ScoreConfig,
  rows: readonly Row[],
  nameOf: NameOf,
  world: World,
): Promise<() => Promise<number[]>> {
  const { checkRewardable, createRewardScorer, scoredIds } = await import('@plumbline/models')
  const model = await openRewardModel(name, world)
  const encoded = await encodeRows(model, rows, config.parse_special, nameOf)
  const sequences = encoded.map((row) => scoredIds(row, model))
  checkRewardable(model.config, sequences, nameOf)
  const scorer = await createRewardScorer(model.config, model.parameters)
  return async () => {
    const rewards = await inChunks('reward', sequences, world, (chunk) => scorer.rewards(chunk))
    await scorer.dispose()
    return rewards
  }
}

/** Rows whose scores are asked for at once: often enough to show progress and to be stopped. */
const CHUNK_ROWS = 64

async function inChunks<In, Out>(
  title: string,
  rows: readonly In[],
  world: World,
  work: (chunk: readonly In[]) => Promise<Out[]>,
): Promise<Out[]> {
  const progress = world.progress(title, rows.length, { unit: 'rows' })
  const results: Out[] = []
  for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
    world.signal.throwIfAborted()
    results.push(...(await work(rows.slice(start, start + CHUNK_ROWS))))
    progress.set(results.length)
  }
  progress.end()
  return results
}
