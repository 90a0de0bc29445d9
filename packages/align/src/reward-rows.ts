/** The rows that a reward model learns from, as tokens; and which of them are held out. */
import { PlumblineError } from '@plumbline/contracts'
import type { Random } from '@plumbline/engine'
import { type LanguageModel, scoredIds } from '@plumbline/models'
import type { PreferenceRow, RewardConfig, RewardRow, ScoredRow } from './config.ts'
import { shuffled } from './parts/batches.ts'
import { encodePair } from './parts/encode.ts'
import { rowName } from './parts/row-place.ts'

export type RewardKind = 'pairs' | 'scores'

/** How messages call the rows of each kind. */
export const rowsNoun = { pairs: 'pairs', scores: 'answers' } as const

/** One or two answers to a prompt, each up to the token at which its reward is read. */
export interface EncodedAnswers {
  /** Chosen and rejected, or the one that has a score. */
  readonly answers: readonly (readonly number[])[]
  /** The margin of a pair, the score of an answer. */
  readonly target: number
  /** The answers of the pair differ in the decision alone. */
  readonly isContrast: boolean
  /** What tells prompts apart. */
  readonly prompt: string
  /** Where it stands in the data, from 1. */
  readonly row: number
}

/** Pairs, or answers with scores, by the columns of the rows. Throws DATA_MIXED when there are both. */
export function rewardKind(rows: readonly RewardRow[], name = 'the data'): RewardKind {
  const kinds = rows.map((row): RewardKind => (row.chosen === undefined ? 'scores' : 'pairs'))
  const other = kinds.findIndex((kind) => kind !== kinds[0])
  if (other < 0) return kinds[0]
  const said = { pairs: 'a pair', scores: 'an answer with a score' }
  throw new PlumblineError(
    'DATA_MIXED',
    `${name}: row 1 is ${said[kinds[0]]}, row ${other + 1} ${said[kinds[other]]}; a reward model learns from one kind.`,
    { hint: 'Put pairs and scored answers into files of their own, and train on one of them.' },
  )
}

/** Throws DATA_MIXED unless the rows to measure on are of the same kind. */
export function checkSameKind(train: RewardKind, evaluation: RewardKind): void {
  if (train === evaluation) return
  const said = { pairs: 'pairs', scores: 'answers with scores' }
  throw new PlumblineError('DATA_MIXED', `the data has ${said[train]}, the evaluation data ${said[evaluation]}.`, {
    hint: 'Give --eval-data of the same kind, or leave it out: then a part of the data is held out.',
  })
}

/** Rows as tokens. Equal sides teach nothing and long answers are left out, as TRL does; both are said. */
export function encodeRewardRows(
  model: LanguageModel,
  rows: readonly RewardRow[],
  { max_length }: Pick<RewardConfig, 'max_length'>,
  log: (text: string) => void,
): EncodedAnswers[] {
  const limit = Math.min(max_length, model.config.maxPositions)
  const noun = rowsNoun[rewardKind(rows)]
  const encoded = rows.map((row, i) => {
    const ids = (answer: ScoredRow['completion']) =>
      scoredIds(encodePair(model.tokenizer, row.prompt!, answer, rowName(row, i)), model)
    const { chosen, rejected, margin = 0, contrast: isContrast = false } = row as PreferenceRow
    const { completion, score } = row as ScoredRow
    const answers = chosen === undefined ? [ids(completion)] : [ids(chosen), ids(rejected)]
    const target = chosen === undefined ? score : margin
    return { answers, target, isContrast, prompt: JSON.stringify(row.prompt), row: i + 1 }
  })
  const equal = new Set(encoded.filter(({ answers: [chosen, rejected] }) => chosen.join() === rejected?.join()))
  const differing = encoded.filter((one) => !equal.has(one))
  const kept = differing.filter(({ answers }) => answers.every(({ length }) => length <= limit))
  if (equal.size > 0)
    log(
      `${equal.size} of ${rows.length} pairs have equal sides and were left out; row ${[...equal][0].row} is the first.`,
    )
  if (kept.length < differing.length)
    log(
      `${differing.length - kept.length} of ${rows.length} ${noun} are longer than ${limit} tokens and were left out.`,
    )
  if (kept.length > 0) return kept
  throw new PlumblineError('NOTHING_TO_LEARN', `none of the ${rows.length} ${noun} is left to learn from.`, {
    hint:
      noun === 'pairs'
        ? 'Chosen and rejected must differ and fit in --max-length.'
        : 'Prompt and completion must fit in --max-length.',
  })
}

/** Tokens of all answers. */
export function tokensOf({ answers }: EncodedAnswers): number {
  return answers.reduce((sum, { length }) => sum + length, 0)
}

export interface RewardSplit {
  readonly train: readonly EncodedAnswers[]
  readonly evaluation: readonly EncodedAnswers[]
}

/**
 * Holds whole prompts out, so that no prompt is learned and measured on: up to `fraction` of the rows, never all
 * prompts. Which ones depends on the seed alone.
 */
export function holdOutPrompts(rows: readonly EncodedAnswers[], fraction: number, random: Random): RewardSplit {
  const groups = [...Map.groupBy(rows, ({ prompt }) => prompt).values()]
  let left = Math.round(rows.length * fraction)
  const heldOut = new Set<string>()
  for (const index of shuffled(groups.length, random)) {
    const group = groups[index]
    if (group.length > left || heldOut.size === groups.length - 1) continue
    heldOut.add(group[0].prompt)
    left -= group.length
  }
  return {
    train: rows.filter(({ prompt }) => !heldOut.has(prompt)),
    evaluation: rows.filter(({ prompt }) => heldOut.has(prompt)),
  }
}

/** What was held out, for a person. */
export function describeSplit({ train, evaluation }: RewardSplit, noun: string): string {
  const promptsOf = (rows: readonly EncodedAnswers[]) => new Set(rows.map(({ prompt }) => prompt))
  const [trained, held] = [promptsOf(train), promptsOf(evaluation)]
  const counts = `${train.length} ${noun} to learn from (${count(trained.size)})`
  if (evaluation.length === 0) return `${counts}, none held out.`
  const shared = held.intersection(trained).size
  const overlap = shared > 0 ? ` ${count(shared)} of these are learned from too: what they show is too good.` : ''
  return `${counts}, ${evaluation.length} to measure on (${count(held.size)}).${overlap}`
}

function count(prompts: number): string {
  return `${prompts} prompt${prompts === 1 ? '' : 's'}`
}
