import { randomUUID } from 'node:crypto'
import { openStore, startWorker } from '@plumbline/store'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../server.test-support.ts'
import { readMonitoring } from '../plan.ts'
import { alarmJobs } from './channels.ts'
import { alarmHandlers } from './handlers.ts'

test('a worker without the webhook of another leaves its messages alone', async () => {
  const store = await openStore('memory')
  onTestFinished(() => store.close())
  const warn = () => {}
  const { channels } = readMonitoring(undefined, {})
  const payload = { project: 'p', alarm: randomUUID() }
  const enqueue = (kind: string) => store.jobs.enqueue({ kind, project: 'p', payload })
  const [webhook, email, log] = [
    await enqueue(alarmJobs.webhook),
    await enqueue(alarmJobs.email),
    await enqueue(alarmJobs.log),
  ]
  const handlers = alarmHandlers({ store, channels, now: Date.now, warn })
  const worker = startWorker(store.jobs, { handlers, warn, pollMs: 5 })
  onTestFinished(() => worker.stop())
  // The last of the three: the others were there to be taken first.
  await until(async () => ((await store.jobs.find('p', log.id))?.state === 'done' ? true : undefined))
  for (const { id } of [webhook, email])
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'waiting', attempts: 0 })
}, 600_000)
