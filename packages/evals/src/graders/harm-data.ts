/** People's labels of harmful texts, from the data folder. */
import { readRows } from './data-rows.ts'
import type { LabelledText } from './harm-study.ts'

export const MODERATION_FILE = 'moderation/openai-moderation.jsonl.gz'
export const TOXICITY_FILE = 'moderation/surge-toxicity.jsonl.gz'

/** Undefined where a file is absent. A text with any flag raised is harmful; a flag that was not rated counts as not raised. */
export function readModeration(folder: string): LabelledText[] | undefined {
  const moderation = readRows(folder, MODERATION_FILE)
  const toxicity = readRows(folder, TOXICITY_FILE)
  if (moderation === undefined || toxicity === undefined) return undefined
  return [
    ...moderation.map(({ prompt, ...flags }) => ({
      text: String(prompt),
      isHarmful: Object.values(flags).includes(1),
      source: 'openai-moderation',
    })),
    ...toxicity.map(({ text, is_toxic }) => ({
      text: String(text),
      isHarmful: is_toxic === 'Toxic',
      source: 'surge-toxicity',
    })),
  ]
}
