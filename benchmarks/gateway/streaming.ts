import { PlumblineError } from '@plumbline/contracts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave } from '../interleave.ts'
import { withServing } from './serving.ts'
import { events, type StreamsAnswer, spacingMs, type Target } from './traffic.ts'
import { type GatewayWorld, sharing } from './world.ts'

const connections = 10

const first: Figure = {
  name: 'added_first_token',
  title: 'added to the first token of a streamed answer, median',
  unit: 'ms',
  better: 'lower',
  goal: { atMost: 1 },
}
const next: Figure = {
  name: 'added_next_token',
  title: 'added to each next token of a streamed answer, median',
  unit: 'ms',
  better: 'lower',
  goal: { atMost: 0.2 },
}

/** Each event says when the upstream sent it, so a late one does not hide behind the pace of the stream. */
export const streaming: Section<GatewayWorld> = {
  figures: [first, next],
  async run(world, record) {
    const each = world.scale(10, 1)
    const upstream = await world.upstream()
    await withServing({ folder: await world.folder(), upstream }, async ({ target }) => {
      const answers: Record<'direct' | 'ours', StreamsAnswer[]> = { direct: [], ours: [] }
      const side = (name: keyof typeof answers, to: Target) => async () => {
        const answer = await world.load<StreamsAnswer>('streams', { target: to, connections, each })
        if (answer.failed > 0) throw new PlumblineError('BENCH_ANSWER', `${answer.failed} streams were not whole.`)
        answers[name].push(answer)
        return answer.firstMs
      }
      const sides = { direct: side('direct', { origin: upstream, headers: {} }), ours: side('ours', target) }
      await interleave(sides, { runs: world.runs ?? world.scale(5, 1) })
      for (const [figure, key] of [
        [first, 'firstMs'],
        [next, 'nextMs'],
      ] as const) {
        // The first of each is the round that does not count.
        const direct = answers.direct.slice(1).map((answer) => answer[key])
        const ours = answers.ours.slice(1).map((answer) => answer[key])
        const details = { streams: connections, events, spacing_ms: spacingMs, direct, through: ours, note: sharing }
        record(figure, { ours: ours.map((ms, i) => ms - direct[i]), details })
      }
    })
  },
}
