/** The rows that both sides train on, and as the tokens that TRL is handed: our trainers read the rows themselves. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { planBatches } from '@plumbline/align'
import type { PreferenceRow, PromptRow } from '@plumbline/align/config'
import { createRandom } from '@plumbline/engine'
import { encodeChatCompletion, type LanguageModel, scoredIds, type Tokenizer } from '@plumbline/models'
import { rootFolder } from '../paths.ts'

type Messages = Exclude<PreferenceRow['prompt'], string>

/** A preference pair of messages. */
export interface ChatPair {
  readonly prompt: Messages
  readonly chosen: Messages
  readonly rejected: Messages
}

/** What stands for "no loss here" in TRL and torch. */
const IGNORED = -100

/** Human preferences from the data folder: PLUMBLINE_DATA, or ../shared/data beside the checkout. */
export function preferencesFile(): string {
  const folder = process.env.PLUMBLINE_DATA || resolve(rootFolder, '../shared/data')
  return join(folder, 'preferences/hh-harmless.jsonl.gz')
}

/** Undefined where the file is absent. */
export function readPreferences(path: string): ChatPair[] | undefined {
  if (!existsSync(path)) return undefined
  return parseLines(gunzipSync(readFileSync(path), { maxOutputLength: 64 * 2 ** 20 }).toString())
}

/** Prompts of the example set, evenly over its kinds. */
export function readPrompts(count: number): PromptRow[] {
  const rows: PromptRow[] = parseLines(readFileSync(join(rootFolder, 'examples/refusals/prompts.jsonl'), 'utf8'))
  return Array.from({ length: count }, (_, i) => ({ prompt: rows[Math.floor((i * rows.length) / count)].prompt }))
}

export function promptIds(tokenizer: Tokenizer, prompt: PromptRow['prompt']): number[] {
  return tokenizer.encodeChat(prompt as Messages, { addGenerationPrompt: true })
}

/** A demonstration as TRL's columns, cut to length; undefined when nothing of the answer is left. */
export function demonstrationColumns(tokenizer: Tokenizer, { prompt, chosen }: ChatPair, maxLength: number) {
  const { promptIds, completionIds } = encodeChatCompletion(tokenizer, prompt, chosen)
  if (promptIds.length >= maxLength) return undefined
  const labels = [...promptIds.map(() => IGNORED), ...completionIds]
  return { input_ids: [...promptIds, ...completionIds].slice(0, maxLength), labels: labels.slice(0, maxLength) }
}

/** A pair as TRL's columns; undefined when a side is too long, which both sides leave out, or both are equal. */
export function pairColumns(
  model: Pick<LanguageModel, 'tokenizer' | 'stopTokenIds'>,
  { prompt, chosen, rejected }: ChatPair,
  maxLength: number,
) {
  const side = (answer: Messages) => scoredIds(encodeChatCompletion(model.tokenizer, prompt, answer), model)
  const columns = { chosen_ids: side(chosen), rejected_ids: side(rejected) }
  const isTooLong = Math.max(columns.chosen_ids.length, columns.rejected_ids.length) > maxLength
  return isTooLong || columns.chosen_ids.join() === columns.rejected_ids.join() ? undefined : columns
}

/** The first `count` rows that can be learned from, as they are and as TRL's columns. */
export function select<Row, Columns>(
  rows: readonly Row[],
  count: number,
  columnsOf: (row: Row) => Columns | undefined,
): { rows: Row[]; columns: Columns[] } {
  const selected: { rows: Row[]; columns: Columns[] } = { rows: [], columns: [] }
  for (const row of rows) {
    if (selected.rows.length === count) break
    const columns = columnsOf(row)
    if (columns === undefined) continue
    selected.rows.push(row)
    selected.columns.push(columns)
  }
  return selected
}

/** In the order in which our trainers see them in the first epoch: TRL then has the same rows in every step. */
export function inTrainingOrder<Row>(rows: readonly Row[], batchSize: number, seed: number): Row[] {
  const lengths = rows.map(() => 1)
  return planBatches(lengths, { batchSize, epochs: 1, maxSteps: -1, random: createRandom(seed) })
    .flat()
    .map((index) => rows[index])
}

function parseLines<Row>(text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
