import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { adminKey, type Serving, untilShipped, withServing } from '../gateway/serving.ts'
import { callForSeconds } from './load.ts'

const figure: Figure = {
  name: 'feedback_calls',
  title: 'feedback calls a second, each on disk before it is answered, embedded store',
  unit: 'calls/s',
  better: 'higher',
  goal: { atLeast: 3000 },
}

const connections = 64
const seconds = 3
const rounds = 3

/** The real `plumb serve` in a process of its own, the callers in this one. */
export const feedback: Section<unknown> = {
  figures: [figure],
  run: async (_, record) => {
    const folder = await mkdtemp(join(tmpdir(), 'feedback-bench-'))
    try {
      await withServing({ folder: join(folder, 'data') }, async (serving) => {
        const port = Number(new URL(serving.target.origin).port)
        const caller = { port, key: adminKey, connections, path: '/v1/feedback', body: rating }
        await callForSeconds(caller, 1)
        const rates: number[] = []
        const cpuBefore = await cpuMs(serving.pid)
        for (let round = 0; round < rounds; round++) rates.push((await callForSeconds(caller, seconds)) / seconds)
        const cpu = (await cpuMs(serving.pid)) - cpuBefore
        const calls = rates.reduce((sum, rate) => sum + rate * seconds, 0)
        const start = performance.now()
        await untilShipped(serving, 600_000)
        const details = {
          connections,
          server_cpu_ms_per_call: Number((cpu / calls).toFixed(3)),
          seconds_until_stored: Number(((performance.now() - start) / 1000).toFixed(1)),
          stored: await countShipped(serving),
        }
        record(figure, { ours: rates, details })
      })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
}

function rating(): string {
  return JSON.stringify({ interaction: randomUUID(), kind: 'rating', rating: 1, text: 'It helped.', consent: true })
}

/** Time on processors, of all threads: on a busy machine it says more than the clock. NaN where there is no /proc. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) * 10 // ticks of 1/100 s
}

async function countShipped({ target }: Serving): Promise<number> {
  const text = await (await fetch(`${target.origin}/metrics`)).text()
  return Number(/^plumbline_records_shipped_total (\S+)$/m.exec(text)?.[1])
}
