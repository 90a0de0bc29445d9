import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createRandom } from '@plumbline/engine'
import { AnswerFilter, readGuards, shapes } from '@plumbline/gateway'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'

const figure: Figure = {
  name: 'stream_verdict_differences',
  title: 'answers whose streamed verdict or text differs from the unstreamed, of 2,000 cut at every boundary',
  unit: 'answers',
  better: 'lower',
  goal: { atMost: 0 },
}

const wanted = 2_000
const path = '/v1/chat/completions'
/** Beside the streams that are cut at every boundary at once: such that are cut in two, here and there. */
const pairs = 8

/** Every way in which a guard can look at a text, on real answers with things to find sown into them. */
export const verdicts: Section<undefined> = {
  figures: [figure],
  run: async (_, record) => {
    const answers = readAnswers()
    const differing: string[] = []
    let cuts = 0
    let stopped = 0
    for (const answer of answers) {
      const whole = await filter([bodyOf(answer)], false)
      if (whole.verdicts.includes('blocked')) stopped++
      const streams = cutsOf(answer)
      cuts += streams.length
      for (const { deltas, network } of streams) {
        const streamed = await filter(piecesOf(deltas, network), true)
        if (streamed.text !== whole.text || streamed.verdicts !== whole.verdicts) {
          differing.push(answer)
          break
        }
      }
    }
    const details = {
      answers: answers.length,
      cuts,
      stopped,
      source: existsSync(dataFile) ? 'xstest-completions' : 'generated',
    }
    record(figure, { ours: [differing.length], details })
  },
}

const { guards } = readGuards(
  [
    {
      kind: 'rules',
      name: 'words',
      mode: 'block',
      keywords: ['project nightingale'],
      patterns: [{ name: 'code', pattern: 'zq-\\d+' }],
    },
    { kind: 'rules', name: 'watched', mode: 'observe', keywords: ['sorry', 'illegal'] },
    { kind: 'personal-data', mode: 'redact' },
    { kind: 'harm', mode: 'block', window: 200 },
    { kind: 'refusal', mode: 'observe' },
  ],
  { openEndpoint: () => () => Promise.reject(new Error('no network')), secret: () => undefined },
)

const dataFile = join(
  process.env.PLUMBLINE_DATA ?? resolve(import.meta.dirname, '../../../shared/data'),
  'grading/xstest-completions.jsonl.gz',
)
const sown = [
  'ann.lee@example.com',
  '4111 1111 1111 1111',
  'zq-123456',
  'project nightingale',
  '+44 20 7946 0958',
  '😀',
  ' 🗼é',
]

/** Real answers where the data folder is there, with something to find put into two of three. */
function readAnswers(): string[] {
  const random = createRandom(7)
  const texts = existsSync(dataFile)
    ? gunzipSync(readFileSync(dataFile))
        .toString('utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => String(JSON.parse(line).completion))
    : Array.from({ length: 500 }, (_, i) => `Answer ${i}. ${'I am sorry, but that is illegal. '.repeat(1 + (i % 20))}`)
  return Array.from({ length: wanted }, (_, i) => {
    const text = texts[i % texts.length].slice(0, 600)
    const seeds = Array.from({ length: random.integer(3) }, () => sown[random.integer(sown.length)])
    return seeds.reduce((sofar, seed) => {
      const at = random.integer(sofar.length)
      return `${sofar.slice(0, at)} ${seed} ${sofar.slice(at)}`
    }, text)
  })
}

interface Cut {
  readonly deltas: readonly string[]
  /** Bytes of each piece that the network brings; 0 is one event at a time. */
  readonly network: number
}

function cutsOf(answer: string): Cut[] {
  const single = Array.from({ length: answer.length }, (_, at) => answer[at])
  const paired = Array.from({ length: pairs }, (_, i) => Math.floor(((i + 1) * answer.length) / (pairs + 1)))
  return [
    { deltas: single, network: 0 },
    { deltas: [answer], network: 1 },
    { deltas: answer.match(/.{1,7}/gs) ?? [], network: 61 },
    ...paired.map((at) => ({ deltas: [answer.slice(0, at), answer.slice(at)], network: 0 })),
  ]
}

const head = { id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm' }

function piecesOf(deltas: readonly string[], network: number): Buffer[] {
  const event = (delta: object, finish_reason: string | null) =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  const events = [...deltas.map((content) => event({ content }, null)), event({}, 'stop'), 'data: [DONE]\n\n']
  if (network === 0) return events.map((text) => Buffer.from(text))
  const bytes = Buffer.from(events.join(''))
  return Array.from({ length: Math.ceil(bytes.length / network) }, (_, i) =>
    bytes.subarray(i * network, (i + 1) * network),
  )
}

function bodyOf(content: string): Buffer {
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
  return Buffer.from(JSON.stringify({ ...head, object: 'chat.completion', choices }))
}

async function filter(pieces: readonly Buffer[], isEventStream: boolean): Promise<{ text: string; verdicts: string }> {
  const out: Buffer[] = []
  const onBytes = (bytes: Buffer) => void out.push(bytes)
  const onUnknown = (reason: string) => {
    throw new Error(reason)
  }
  const question = { prompt: '', conversation: [] }
  const answer = new AnswerFilter({ shape: shapes[path], guards, question, isEventStream, onBytes, onUnknown })
  for (const piece of pieces) answer.push(piece)
  answer.readEnd()
  await answer.end()
  const said = (await answer.verdicts()).map(({ name, outcome, label, score }) => ({ name, outcome, label, score }))
  return { text: textOf(Buffer.concat(out).toString('utf8'), isEventStream), verdicts: JSON.stringify(said) }
}

/** What a client has in the end: the text and the reason for its end. */
function textOf(out: string, isEventStream: boolean): string {
  if (!isEventStream) {
    const [choice] = JSON.parse(out).choices
    return `${choice.message.content} [${choice.finish_reason}]`
  }
  let text = ''
  let reason = ''
  for (const line of out.split('\n').filter((line) => line.startsWith('data: {'))) {
    const [choice] = JSON.parse(line.slice(6)).choices
    text += choice.delta.content ?? ''
    reason = choice.finish_reason ?? reason
  }
  return `${text} [${reason}]`
}
