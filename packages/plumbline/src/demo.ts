import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MonitoringPlan } from '@plumbline/server'
import type { World } from './world.ts'

/** A folder with a month of invented answers in its embedded store; it goes with the process. */
export interface DemoData {
  readonly folder: string
  remove(): Promise<void>
}

export async function createDemoData(plan: MonitoringPlan, world: World): Promise<DemoData> {
  const folder = await mkdtemp(join(tmpdir(), 'plumbline-demo-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    await fill(join(folder, 'store'), plan, world)
    return { folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function fill(folder: string, plan: MonitoringPlan, world: World): Promise<void> {
  const { openStore } = await import('@plumbline/store')
  const { demoDays, seedDemo } = await import('@plumbline/server')
  const store = await openStore({ folder })
  const progress = world.progress('a month of the demo', demoDays, { unit: 'days' })
  const onDay = (day: number) => {
    world.signal.throwIfAborted()
    progress.set(day)
  }
  try {
    await seedDemo(store, { now: world.now(), plan, warn: world.log.warn, onDay })
  } finally {
    progress.end()
    await store.close()
  }
}
