import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { median } from '../interleave.ts'
import { residentBytes } from './process-facts.ts'
import { withServing } from './serving.ts'
import { answerSize, type OpenLoopAnswer, requestBody } from './traffic.ts'
import { type GatewayWorld, sharing } from './world.ts'

const figure: Figure = {
  name: 'memory_growth',
  title: 'growth of memory after warm-up, at 300 requests/s',
  unit: '%',
  better: 'lower',
  goal: { atMost: 5 },
}

const rate = 300
const sampleMs = 500
/** V8 takes minutes to find the size of what it has just made: it goes from 33 to 134 MB and back. */
const longestWarmupSeconds = 600

/** Resident memory of the gateway and of its store's process: the first fifth after a warm-up against the last. */
export const memory: Section<GatewayWorld> = {
  figures: [figure],
  async run(world, record) {
    if (process.platform !== 'linux') return world.log('memory is read from /proc: Linux alone')
    const seconds = (world.minutes ?? world.scale(2, 0.1)) * 60
    const warmupSeconds = Math.min(longestWarmupSeconds, seconds / 2)
    const upstream = await world.upstream()
    await withServing({ folder: await world.folder(), upstream }, async ({ target, pid }) => {
      const request = { target, body: requestBody(answerSize.small), rate, wantsIds: false }
      await world.load<OpenLoopAnswer>('open', { ...request, seconds: warmupSeconds })
      const samples: number[] = []
      const sampling = setInterval(() => samples.push(residentBytes(pid)), sampleMs)
      const answer = await world.load<OpenLoopAnswer>('open', { ...request, seconds })
      clearInterval(sampling)
      const part = Math.ceil(samples.length / 5)
      const [begin, end] = [median(samples.slice(0, part)), median(samples.slice(-part))]
      const details = {
        minutes: seconds / 60,
        warmup_minutes: warmupSeconds / 60,
        rate,
        begin_mb: Math.round(begin / 1e6),
        end_mb: Math.round(end / 1e6),
        achieved_rate: Math.round(answer.achievedRate),
        failed: answer.failed,
        note: sharing,
      }
      record(figure, { ours: [(end / begin - 1) * 100], details })
    })
  },
}
