import { setTimeout as sleep } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { compareRecords, listRecords, startServing, untilShipped, withServing } from './serving.ts'
import { answerSize, type ClosedLoopAnswer, requestBody } from './traffic.ts'
import { type GatewayWorld, sharing } from './world.ts'

const figure: Figure = {
  name: 'kill_lost_or_doubled',
  title: 'records of whole answers that kill -9 under load lost or doubled',
  unit: 'records',
  better: 'lower',
  goal: { atMost: 0 },
}

/** More than the longest wait for the kill. */
const loadSeconds = 60

/** kill -9 at a random time, the same folder again, and in the end every answer that a client has is looked for. */
export const kill: Section<GatewayWorld> = {
  figures: [figure],
  async run(world, record) {
    const rounds = world.rounds ?? world.scale(20, 2)
    const { acknowledged, lost, doubled } = await killRounds(world, rounds)
    const details = { rounds, acknowledged, lost, doubled, note: sharing }
    record(figure, { ours: [lost + doubled], details })
  },
}

async function killRounds(world: GatewayWorld, rounds: number) {
  const upstream = await world.upstream()
  const place = { folder: await world.folder(), upstream }
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
