import { join } from 'node:path'
import type { RunDetail } from '@plumbline/contracts'
import { parseObject, readLastLines } from './plain-file.ts'

const readBytes = 512 * 1024
const mostSamples = 24
const longestText = 4_000

/** The newest answers that a run sampled, and whether it has others. Throws RUN_FILE. */
export async function readSamples(folder: string): Promise<{ samples: RunDetail['samples']; hasMore: boolean }> {
  const { lines, isCut } = await readLastLines(join(folder, 'samples.jsonl'), readBytes)
  const rows = lines.map(parseObject).filter((row) => row !== undefined)
  const newest = rows.slice(-mostSamples).map(sampleOf)
  // Those of one step stay in their order: a pair's chosen answer comes first.
  const samples = newest.toSorted((a, b) => (b.step ?? -1) - (a.step ?? -1))
  return { samples, hasMore: isCut || rows.length > mostSamples }
}

function sampleOf(row: Readonly<Record<string, unknown>>): RunDetail['samples'][number] {
  const { global_step, prompt, completion, score, kl, finish_reason, side, target } = row
  return {
    step: numberOf(global_step),
    prompt: clip(textOf(prompt)),
    completion: clip(textOf(completion)),
    score: numberOf(score),
    kl: numberOf(kl),
    finish_reason: typeof finish_reason === 'string' ? clip(finish_reason) : null,
    side: side === 'chosen' || side === 'rejected' ? side : null,
    target: numberOf(target),
  }
}

const numberOf = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : null)

const clip = (text: string) => (text.length <= longestText ? text : `${text.slice(0, longestText)}…`)

/** A text, or a conversation in TRL's form; one message of a user is its text alone. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return value === undefined ? '' : JSON.stringify(value)
  const turns = value.map((message: unknown) => {
    const { role, content } = { role: '', content: message, ...(message as { role?: unknown; content?: unknown }) }
    return { role: String(role), text: typeof content === 'string' ? content : JSON.stringify(content) }
  })
  if (turns.length === 1) return turns[0].text
  return turns.map(({ role, text }) => `${role}: ${text}`).join('\n')
}
