import { setTimeout as sleep } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { compareRecords, listRecords, startServing, untilShipped, withServing } from './serving.ts'
import { answerSize, type ClosedLoopAnswer, requestBody } from './traffic.ts'
import { type GatewayWorld, sharing } from './world.ts'

const held: Figure = {
  name: 'kill_lost_or_doubled',
  title: 'records that kill -9 under load lost or doubled, answers held until recorded',
  unit: 'records',
  better: 'lower',
  goal: { atMost: 0 },
}
const asItComes: Figure = {
  ...held,
  name: 'kill_lost_or_doubled_default',
  title: 'the same with the default wait for a record, 250 ms',
}
const patience = [
  { figure: held, recordPatienceMs: 60_000 },
  { figure: asItComes, recordPatienceMs: 250 },
] as const

/** More than the longest wait for the kill. */
const loadSeconds = 60

/** kill -9 at a random time, the same folder again, and in the end every answer that a client has is looked for. */
export const kill: Section<GatewayWorld> = {
  figures: [held, asItComes],
  async run(world, record, isWanted) {
    const rounds = world.rounds ?? world.scale(20, 2)
    for (const { figure, recordPatienceMs } of patience) {
      if (!isWanted(figure)) continue
      const { acknowledged, lost, doubled } = await killRounds(world, rounds, recordPatienceMs)
      const details = { rounds, acknowledged, lost, doubled, record_patience_ms: recordPatienceMs, note: sharing }
      record(figure, { ours: [lost + doubled], peer: [], peerName: null, details })
    }
  },
}

async function killRounds(world: GatewayWorld, rounds: number, recordPatienceMs: number) {
  const upstream = await world.upstream()
  const place = { folder: await world.folder(), upstream, recordPatienceMs }
  const acknowledged: string[] = []
  for (let round = 0; round < rounds; round++) {
    const serving = await startServing(place)
    const request = { target: serving.target, body: requestBody(answerSize.small), connections: 8 }
    const load = world.load<ClosedLoopAnswer>('closed', { ...request, seconds: loadSeconds, untilBroken: true })
    await sleep(Math.random() * 2_000)
    await serving.kill()
    acknowledged.push(...(await load).ids)
  }
  if (acknowledged.length === 0) throw new PlumblineError('BENCH_ANSWER', 'no request was answered in any round.')
  return withServing(place, async (serving) => {
    await untilShipped(serving, 600_000)
    return { acknowledged: acknowledged.length, ...compareRecords(acknowledged, await listRecords(serving)) }
  })
}
