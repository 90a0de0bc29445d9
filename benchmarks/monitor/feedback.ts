import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { callForSeconds } from './load.ts'
import { adminKey, startServer } from './plumb-serve.ts'

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
    const server = await startServer(join(folder, 'data'))
    try {
      const caller = { ...server, key: adminKey, connections, path: '/v1/feedback', body: rating }
      await callForSeconds(caller, 1)
      const rates: number[] = []
      const cpuBefore = await cpuMs(server.pid)
      for (let round = 0; round < rounds; round++) rates.push((await callForSeconds(caller, seconds)) / seconds)
      const cpu = (await cpuMs(server.pid)) - cpuBefore
      const calls = rates.reduce((sum, rate) => sum + rate * seconds, 0)
      const start = performance.now()
      const stored = await allStored(server.port)
      const details = {
        connections,
        server_cpu_ms_per_call: Number((cpu / calls).toFixed(3)),
        stored,
        seconds_until_stored: Number(((performance.now() - start) / 1000).toFixed(1)),
      }
      record(figure, { ours: rates, peer: [], peerName: null, details })
    } finally {
      await server.stop()
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

/** Waits until the store has every one that is in the spool. Gives how many. */
async function allStored(port: number): Promise<number> {
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
    if (value('plumbline_spool_bytes') === 0) return value('plumbline_records_shipped_total')
    await sleep(100)
  }
}
