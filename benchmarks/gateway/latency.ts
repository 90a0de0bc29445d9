import { PlumblineError } from '@plumbline/contracts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave } from '../interleave.ts'
import { withServing } from './serving.ts'
import { answerSize, type OpenLoopAnswer, requestBody, type Target } from './traffic.ts'
import { type GatewayWorld, sharing, warmRounds } from './world.ts'

const p50: Figure = {
  name: 'added_p50',
  title: 'added by the gateway at 1,000 requests/s of 2 KB, recording durable, median',
  unit: 'ms',
  better: 'lower',
  goal: { atMost: 0.3 },
}
const p99: Figure = { ...p50, name: 'added_p99', title: p50.title.replace('median', 'p99'), goal: { atMost: 3 } }

/**
 * Open loop, the upstream directly and through the gateway in turns; what is added is the difference of a pair. The bare
 * proxy between them is about the least that can be.
 */
export const latency: Section<GatewayWorld> = {
  figures: [p50, p99],
  async run(world, record) {
    const rate = world.scale(1000, 100)
    const seconds = world.scale(5, 1)
    const upstream = await world.upstream()
    const bare = await world.bareProxy()
    await withServing({ folder: await world.folder(), upstream }, async ({ target }) => {
      const answers: Record<'direct' | 'bare' | 'ours', OpenLoopAnswer[]> = { direct: [], bare: [], ours: [] }
      const side = (name: keyof typeof answers, to: Target) => async () => {
        const request = { target: to, body: requestBody(answerSize.large), rate, seconds, wantsIds: false }
        const answer = await world.load<OpenLoopAnswer>('open', request)
        answers[name].push(answer)
        checkAnswered(name, answer)
        return answer.p50
      }
      const runs = world.runs ?? world.scale(5, 1)
      const warmups = world.scale(warmRounds, 1)
      const sides = {
        direct: side('direct', { origin: upstream, headers: {} }),
        bare: side('bare', { origin: bare.url, headers: {} }),
        ours: side('ours', target),
      }
      await interleave(sides, { runs, warmups })
      for (const [figure, key] of [
        [p50, 'p50'],
        [p99, 'p99'],
      ] as const) {
        const [direct, bareProxy, ours] = [answers.direct, answers.bare, answers.ours].map((all) =>
          all.slice(warmups).map((answer) => answer[key]),
        )
        const achieved_rate = answers.ours.slice(warmups).map(({ achievedRate }) => Math.round(achievedRate))
        const details = { rate, achieved_rate, seconds, direct, bare_proxy: bareProxy, through: ours, note: sharing }
        record(figure, { ours: ours.map((ms, i) => ms - direct[i]), details })
      }
    })
  },
}

/** An error is quicker than an answer, so not even a round that does not count may have one. */
function checkAnswered(side: string, { failed, failures, sent }: OpenLoopAnswer): void {
  if (failed === 0) return
  const outcomes = Object.entries(failures).map(([outcome, count]) => `${outcome}: ${count}`)
  throw new PlumblineError(
    'BENCH_UNANSWERED',
    `${failed} of ${sent} requests of one round (${side}) were not answered (${outcomes.join(', ')}).`,
    { hint: 'ECONNREFUSED: the server has ended, and said why above. 503: the gateway leaves its upstream alone.' },
  )
}
