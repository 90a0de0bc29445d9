import { PlumblineError } from '@plumbline/contracts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave, median } from '../interleave.ts'
import { portkeyName, startPortkey } from './portkey.ts'
import { cpuSeconds } from './process-facts.ts'
import { withServing } from './serving.ts'
import { answerSize, type ClosedLoopAnswer, requestBody, type Target } from './traffic.ts'
import { type GatewayWorld, sharing, warmRounds } from './world.ts'

const connections = 32

const figure: Figure = {
  name: 'requests_per_second',
  title: 'requests of 2 KB with answers of 1 KB, 32 connections',
  unit: 'requests/s',
  better: 'higher',
  goal: { ratio: 5 },
}

/**
 * As much as each gateway bears, in turns, in front of the same upstream. Ours records, Portkey's has nothing to, and the
 * bare proxy is about the least that can be.
 */
export const throughput: Section<GatewayWorld> = {
  figures: [figure],
  async run(world, record) {
    const seconds = world.scale(5, 1)
    const upstream = await world.upstream()
    const bare = await world.bareProxy()
    const portkey = await startPortkey(upstream, world.log)
    try {
      await withServing({ folder: await world.folder(), upstream }, async (serving) => {
        const cpu: Record<'ours' | 'portkey' | 'bare' | 'direct', number[]> = {
          ours: [],
          portkey: [],
          bare: [],
          direct: [],
        }
        const side = (name: keyof typeof cpu, target: Target, pid: number | undefined) => async () => {
          const before = pid === undefined ? undefined : cpuSeconds(pid)
          const request = { target, body: requestBody(answerSize.small), connections, seconds, untilBroken: false }
          const answer = await world.load<ClosedLoopAnswer>('closed', request)
          checkAnswers(name, answer)
          if (pid !== undefined && before !== undefined)
            cpu[name].push(((cpuSeconds(pid)! - before) / answer.answered) * 1e6)
          return answer.answered / answer.seconds
        }
        const sides = {
          ours: side('ours', serving.target, serving.pid),
          portkey: side('portkey', portkey.target, portkey.pid),
          bare: side('bare', { origin: bare.url, headers: {} }, bare.pid),
          direct: side('direct', { origin: upstream, headers: {} }, undefined),
        }
        const rounds = { runs: world.runs ?? world.scale(5, 1), warmups: world.scale(warmRounds, 1) }
        const rates = await interleave(sides, rounds)
        const cpuOf = (values: readonly number[]) =>
          values.length === 0 ? null : Math.round(median(values.slice(rounds.warmups)))
        const details = {
          cpu_us: cpuOf(cpu.ours),
          peer_cpu_us: cpuOf(cpu.portkey),
          bare_proxy: Math.round(median(rates.bare)),
          bare_proxy_cpu_us: cpuOf(cpu.bare),
          direct: Math.round(median(rates.direct)),
          note: sharing,
        }
        record(figure, { ours: rates.ours, peer: rates.portkey, peerName: portkeyName, details })
      })
    } finally {
      await portkey.stop()
    }
  },
}

function checkAnswers(name: string, { answered, failed }: ClosedLoopAnswer): void {
  if (failed === 0 && answered > 0) return
  throw new PlumblineError('BENCH_ANSWER', `${name}: ${failed} requests failed, ${answered} were answered.`, {
    hint: 'Rates of different answers cannot be compared.',
  })
}
