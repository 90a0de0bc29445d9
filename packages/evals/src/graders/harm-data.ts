/** People's labels of harmful texts, from the data folder. */
import { readRows } from './data-rows.ts'
import type { HarmHead } from './harm-model.ts'

export const MODERATION_FILE = 'moderation/openai-moderation.jsonl.gz'
export const TOXICITY_FILE = 'moderation/surge-toxicity.jsonl.gz'

export interface LabelledText {
  readonly text: string
  /** What people said of it; a head without an entry was not rated. */
  readonly labels: Readonly<Partial<Record<HarmHead, boolean>>>
}

/** OpenAI's flags by the head they belong to. */
const flagsOf = {
  sexual: ['S', 'S3'],
  hate: ['H', 'H2'],
  violence: ['V', 'V2'],
  harassment: ['HR'],
  'self-harm': ['SH'],
} as const

/** Undefined where a file is absent. Any flag raised is `any` harm; a flag that was not rated counts as not raised there. */
export function readModeration(folder: string): LabelledText[] | undefined {
  const moderation = readRows(folder, MODERATION_FILE)
  const toxicity = readRows(folder, TOXICITY_FILE)
  if (moderation === undefined || toxicity === undefined) return undefined
  return [
    ...moderation.map(({ prompt, ...flags }) => ({
      text: String(prompt),
      labels: { any: Object.values(flags).includes(1), ...categoriesOf(flags) },
    })),
    ...toxicity.map(({ text, is_toxic }) => ({ text: String(text), labels: { toxicity: is_toxic === 'Toxic' } })),
  ]
}

function categoriesOf(flags: Record<string, unknown>): Partial<Record<HarmHead, boolean>> {
  return Object.fromEntries(
    Object.entries(flagsOf)
      .filter(([, names]) => names.some((name) => flags[name] !== undefined && flags[name] !== null))
      .map(([head, names]) => [head, names.some((name) => flags[name] === 1)]),
  )
}
