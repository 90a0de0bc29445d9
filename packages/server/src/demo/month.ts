import { createHash } from 'node:crypto'
import { type Interaction, interactionSchema } from '@plumbline/contracts'
import { interactionJson, type RecordRow, recordFacts } from '@plumbline/store'
import { pick, seededRandom } from './random.ts'
import { harmfulAnswers, leakingAnswers, newOpenings, refusals, topics } from './texts.ts'

export const demoProject = 'default'
export const demoDays = 30
/** So many days before the last one a new model takes over: the incident. */
const daysSinceRelease = 8
const dayMs = 86_400_000

/** What may happen to an answer, as shares of all; the release makes one of them six times as likely. */
const usual = { harmful: 0.012, refused: 0.03, leaking: 0.006, failed: 0.01 }
const afterRelease = { ...usual, harmful: 0.075, refused: 0.015 }

/** One answer of the month and what was wrong with it. */
export interface DemoAnswer {
  readonly row: RecordRow
  readonly interaction: Interaction
  readonly fate: keyof typeof usual | 'fine'
}

/** The answers of one day of the month, 0 the oldest: the same for the same seed. */
export function demoDay(day: number, { seed, now, keyId }: { seed: number; now: number; keyId: string }): DemoAnswer[] {
  const random = seededRandom(seed * 1000 + day)
  const end = now - (demoDays - 1 - day) * dayMs
  const start = end - dayMs
  const isNew = demoDays - day <= daysSinceRelease
  const isWeekend = [0, 6].includes(new Date(end).getUTCDay())
  const count = Math.round((isWeekend ? 60 : 78) + random() * 16)
  const times = Array.from({ length: count }, () => start + random() * dayMs).sort((a, b) => a - b)
  return times.map((time, index) => {
    const fate = fateOf(random(), isNew ? afterRelease : usual)
    const interaction = interactionOf({ random, fate, isNew, time, keyId, name: `${seed}/${day}/${index}` })
    return { fate, interaction, row: rowOf(interaction) }
  })
}

function fateOf(chance: number, shares: typeof usual): DemoAnswer['fate'] {
  let sum = 0
  for (const [fate, share] of Object.entries(shares)) {
    sum += share
    if (chance < sum) return fate as keyof typeof usual
  }
  return 'fine'
}

interface Making {
  readonly random: () => number
  readonly fate: DemoAnswer['fate']
  readonly isNew: boolean
  readonly time: number
  readonly keyId: string
  readonly name: string
}

function interactionOf({ random, fate, isNew, time, keyId, name }: Making): Interaction {
  const topic = pick(random, topics)
  const prompt = pick(random, topic.prompts)
  const text = fate === 'failed' ? '' : textOf(random, fate, isNew, topic.answers)
  const model = isNew ? 'shop-assistant-2' : 'shop-assistant-1'
  const total = Math.round(300 + random() * 1500)
  const isFailed = fate === 'failed'
  return interactionSchema.parse({
    id: `chatcmpl-demo-${hash(name).slice(0, 16)}`,
    record: uuidv7(time, name),
    project: demoProject,
    key_id: keyId,
    created_at: new Date(time).toISOString(),
    endpoint: '/v1/chat/completions',
    upstream: 'http://demo.invalid',
    attempts: [{ upstream: 'demo', status: isFailed ? null : 200, ms: total, why: isFailed ? 'timeout_total' : null }],
    config: isNew ? 'demo-2' : 'demo-1',
    upstream_request_id: null,
    request_model: 'shop-assistant',
    model: isFailed ? null : model,
    stream: random() < 0.5,
    status: isFailed ? 504 : 200,
    termination: isFailed ? 'timeout_total' : 'completed',
    request: {
      model: 'shop-assistant',
      messages: [
        { role: 'system', content: 'You answer questions of a bicycle shop’s customers.' },
        { role: 'user', content: prompt },
      ],
      metadata: { language: random() < 0.25 ? 'es' : 'en', training_consent: random() < 0.5 ? 'true' : 'false' },
    },
    text,
    choices: isFailed ? [] : [{ index: 0, text, reasoning: '', refusal: '', tool_calls: [], finish_reason: 'stop' }],
    usage: isFailed ? null : { prompt_tokens: 32, completion_tokens: Math.round(text.length / 4) },
    error: isFailed ? { message: 'The upstream did not answer in time.', type: 'server_error', code: 'timeout' } : null,
    timings: {
      headers_ms: isFailed ? null : Math.round(total / 4),
      first_token_ms: isFailed ? null : Math.round(total / 3),
      total_ms: total,
    },
    request_bytes: 300 + prompt.length,
    response_bytes: 250 + text.length,
    notes: [],
  })
}

function textOf(random: () => number, fate: DemoAnswer['fate'], isNew: boolean, answers: readonly string[]): string {
  if (fate === 'harmful') return pick(random, harmfulAnswers)
  if (fate === 'refused') return pick(random, refusals)
  const opening = isNew && random() < 0.7 ? pick(random, newOpenings) : ''
  return opening + (fate === 'leaking' ? pick(random, leakingAnswers) : pick(random, answers))
}

function rowOf(one: Interaction): RecordRow {
  const { record, id, project, model, termination } = one
  return {
    ...{ record, id, project, model, termination },
    createdAt: one.created_at,
    keyId: one.key_id,
    subjects: [],
    ...recordFacts(one),
    json: interactionJson(one),
  }
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex')

/** Of a time and a name: the same for the same ones. */
function uuidv7(time: number, name: string): string {
  const stamp = Math.floor(time).toString(16).padStart(12, '0')
  const rest = hash(name)
  return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6, 18)}`
}
