/** Rows of answers for `plumb evaluate`, and people's labels of them. */
import { PlumblineError } from '@plumbline/contracts'
import type { EvaluationItem, Evaluator, Fact, LabelledItem } from '@plumbline/evals'
import { z } from 'zod'
import { type TextOrMessages, textOrMessages } from './fields-of-models.ts'
import { dataName, readJsonLines } from './json-lines.ts'
import type { World } from './world.ts'

const text = z.string().min(1).max(2_000)
const value = z.union([text, z.number()])
const fact = z.object({ about: text, value, aliases: z.array(text).max(100).optional() })

const row = z.object({
  id: z.union([z.string(), z.number()]).optional(),
  prompt: textOrMessages,
  completion: textOrMessages,
  context: z.union([z.string(), z.array(z.string())]).optional(),
  facts: z.array(fact).max(1_000).optional(),
  answers: z.array(value).min(1).max(1_000).optional(),
  prompt_is_harmful: z.boolean().optional(),
})
const labelledRow = row.extend({ label: z.union([z.boolean(), z.literal([0, 1]), z.string()]) })

export interface EvaluationRow {
  readonly id: string | number | undefined
  readonly line: number
  readonly item: EvaluationItem
}

/** All rows; facts of the file stand beside each row's own. */
export async function readItems(path: string, facts: readonly Fact[], world: World): Promise<EvaluationRow[]> {
  const rows: EvaluationRow[] = []
  for await (const { line, row: found } of readJsonLines(path, row, world))
    rows.push({ id: found.id, line, item: itemOf(found, facts) })
  return rows
}

/** Rows with people's `label`: true, 1 or one of the evaluator's flags; false, 0 or one of its passes. */
export async function readLabelled(
  path: string,
  evaluator: Evaluator,
  facts: readonly Fact[],
  world: World,
): Promise<LabelledItem[]> {
  const rows: LabelledItem[] = []
  for await (const { line, row: found } of readJsonLines(path, labelledRow, world))
    rows.push({
      item: itemOf(found, facts),
      isFlagged: readLabel(found.label, evaluator, `${dataName(path)}:${line}`),
    })
  return rows
}

/** Trusted facts that hold for every row. */
export async function readFacts(path: string | undefined, world: World): Promise<Fact[]> {
  const facts: Fact[] = []
  if (path !== undefined) for await (const { row: found } of readJsonLines(path, fact, world)) facts.push(found)
  return facts
}

function itemOf(found: z.output<typeof row>, shared: readonly Fact[]): EvaluationItem {
  const facts = [...(found.facts ?? []), ...shared]
  return {
    prompt: askedText(found.prompt),
    completion: allText(found.completion),
    ...(found.context === undefined ? {} : { context: [found.context].flat().join('\n') }),
    ...(facts.length === 0 ? {} : { facts }),
    ...(found.answers === undefined ? {} : { answers: found.answers }),
    ...(found.prompt_is_harmful === undefined ? {} : { promptIsHarmful: found.prompt_is_harmful }),
  }
}

function askedText(prompt: TextOrMessages): string {
  return typeof prompt === 'string' ? prompt : (prompt.findLast(({ role }) => role === 'user')?.content ?? '')
}

function allText(completion: TextOrMessages): string {
  return typeof completion === 'string' ? completion : completion.map(({ content }) => content).join('\n')
}

function readLabel(label: boolean | 0 | 1 | string, { name, flags, passes }: Evaluator, where: string): boolean {
  if (typeof label !== 'string') return Boolean(label)
  if (flags.includes(label)) return true
  if (passes.includes(label)) return false
  throw new PlumblineError('DATA_LABEL', `${where}: the label ${JSON.stringify(label)} is none of ${name}’s.`, {
    hint: `Give true, 1 or ${flags.join(', ')} where it is to be flagged; false, 0 or ${passes.join(', ')} where not.`,
  })
}
