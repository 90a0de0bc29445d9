import { createHash } from 'node:crypto'
import type { Interaction } from '@plumbline/contracts'

/** What trainers read: TRL's columns, and where it comes from beside them. */
export type TrainingKind = 'preferences' | 'demonstrations'

export interface Message {
  readonly role: string
  readonly content: string
}
type Said = string | readonly Message[]

/** What a person said of an answer, in a form that can be learned from. */
export interface Lesson {
  readonly source: 'correction' | 'preference' | 'rating' | 'review'
  readonly chosen: string
  /** Undefined where nothing is worse. */
  readonly rejected: string | undefined
}

export interface Provenance {
  readonly source: Lesson['source']
  /** Of the feedback, or of the reviewed item. */
  readonly id: string
  readonly record: string
  readonly project: string
  readonly model: string | null
  /** Hashes of those whose word it is and of those who judged it. */
  readonly people: readonly string[]
  /** Of those who judged the answer in review; null when nobody did. */
  readonly agreement: number | null
  readonly consent: 'person' | 'interaction' | 'project'
  readonly prompt_sha256: string
  readonly split: 'train' | 'eval'
  readonly created_at: string
}

/** Every tenth prompt is for measuring, all of its rows. */
const evalShare = 0.1

/** The row's columns; undefined when the request is none that trainers can read. */
export function trainingColumns(kind: TrainingKind, interaction: Interaction, { chosen, rejected }: Lesson) {
  const prompt = promptOf(interaction.request)
  if (prompt === undefined) return undefined
  const said = (text: string): Said => (typeof prompt === 'string' ? text : [{ role: 'assistant', content: text }])
  const sha256 = createHash('sha256').update(JSON.stringify(prompt)).digest()
  const split: Provenance['split'] = sha256.readUInt32BE(0) / 2 ** 32 < evalShare ? 'eval' : 'train'
  const columns =
    kind === 'demonstrations'
      ? { prompt, completion: said(chosen) }
      : { prompt, chosen: said(chosen), rejected: said(rejected!) }
  return { columns, prompt_sha256: sha256.toString('hex'), split }
}

/** Of chat, completions and responses: text only, as tools and images are nothing that our trainers read. */
function promptOf(request: unknown): Said | undefined {
  const { messages, prompt, input } = Object(request) as Record<string, unknown>
  if (typeof prompt === 'string' && prompt !== '') return prompt
  if (typeof input === 'string' && input !== '') return [{ role: 'user', content: input }]
  const list = messages ?? input
  if (!Array.isArray(list) || list.length === 0) return undefined
  const read = list.map((message) => {
    const { role, content } = Object(message) as Record<string, unknown>
    return { role, content: textOf(content) }
  })
  const isRight = (one: { role: unknown; content: string | undefined }): one is Message =>
    typeof one.role === 'string' && one.content !== undefined
  return read.every(isRight) ? read : undefined
}

function textOf(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (!Array.isArray(content) || content.length === 0) return undefined
  const texts = content.map((part) => (Object(part) as { text?: unknown }).text)
  return texts.every((text) => typeof text === 'string') ? texts.join('') : undefined
}
