import { PlumblineError } from '@plumbline/contracts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave } from '../interleave.ts'
import { withServing } from './serving.ts'
import { events, type StreamsAnswer, spacingMs, type Target } from './traffic.ts'
import { type GatewayWorld, sharing } from './world.ts'

const connections = 10
/** Streams that begin evenly spread over the length of one. */
const evenly = (events * spacingMs) / connections

const added = (name: string, title: string, goal?: Figure['goal']): Figure => ({
  name,
  title: `added to ${title}, median`,
  unit: 'ms',
  better: 'lower',
  ...(goal && { goal }),
})
const first = added('added_first_token', 'the first token of a streamed answer', { atMost: 1 })
const next = added('added_next_token', 'each next token of a streamed answer', { atMost: 0.2 })
const firstAtOnce = added('added_first_token_at_once', `the first token, where ${connections} answers begin at once`)

/** Each event says when the upstream sent it, so a late one does not hide behind the pace of the stream. */
export const streaming: Section<GatewayWorld> = {
  figures: [first, next, firstAtOnce],
  async run(world, record, isWanted) {
    const upstream = await world.upstream()
    await withServing({ folder: await world.folder(), upstream }, async ({ target }) => {
      if (isWanted(first) || isWanted(next)) {
        const { direct, ours } = await compare(world, { origin: upstream, headers: {} }, target, evenly)
        const details = { streams: connections, events, spacing_ms: spacingMs, apart_ms: evenly, note: sharing }
        record(first, difference(direct, ours, 'firstMs', details))
        record(next, difference(direct, ours, 'nextMs', details))
      }
      if (isWanted(firstAtOnce)) {
        const { direct, ours } = await compare(world, { origin: upstream, headers: {} }, target, 0)
        record(firstAtOnce, difference(direct, ours, 'firstMs', { streams: connections, note: sharing }))
      }
    })
  },
}

type Answers = readonly StreamsAnswer[]

async function compare(world: GatewayWorld, upstream: Target, gateway: Target, apartMs: number) {
  const each = world.scale(10, 1)
  const answers: Record<'direct' | 'ours', StreamsAnswer[]> = { direct: [], ours: [] }
  const side = (name: keyof typeof answers, target: Target) => async () => {
    const answer = await world.load<StreamsAnswer>('streams', { target, connections, each, apartMs })
    if (answer.failed > 0) throw new PlumblineError('BENCH_ANSWER', `${answer.failed} streams were not whole.`)
    answers[name].push(answer)
    return answer.firstMs
  }
  const sides = { direct: side('direct', upstream), ours: side('ours', gateway) }
  await interleave(sides, { runs: world.runs ?? world.scale(5, 1) })
  // The first of each is the round that does not count.
  return { direct: answers.direct.slice(1), ours: answers.ours.slice(1) }
}

function difference(direct: Answers, ours: Answers, key: 'firstMs' | 'nextMs', details: object) {
  const [alone, through] = [direct, ours].map((answers) => answers.map((answer) => answer[key]))
  return { ours: through.map((ms, i) => ms - alone[i]), details: { ...details, direct: alone, through } }
}
