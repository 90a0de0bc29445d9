import { openStore } from '@plumbline/store'
import { expect, test } from 'vitest'
import { readMonitoring } from '../monitoring/plan.ts'
import { reviewRoutes } from './routes.ts'

test('gold for an answer of the sample is a conflict, and leaves no note', async () => {
  const store = await openStore('memory')
  const [project, interaction] = ['p', 'an-answer']
  const about = { project, interaction, reason: 'random', category: null, priority: 65, people: 1, gold: null } as const
  await store.review.enqueue([{ ...about, probability: 0.25, at: '2026-01-02T03:04:05.678Z' }])
  const add = reviewRoutes(readMonitoring({}, {})).find(({ path }) => path === '/api/review/items')!
  const asked = (gold: string | undefined) =>
    add.run(
      { key: { id: 'k', project }, body: { interaction, reason: 'guard', priority: 80, reviewers: 1, gold } } as never,
      { store, now: Date.now } as never,
    )
  await expect(asked('harmful')).rejects.toMatchObject({ status: 409, body: { code: 'gold_sampled' } })
  expect((await store.audit.list(project, { limit: 9 })).data).toEqual([])
  expect(await asked(undefined)).toMatchObject({ queued: true })
  await store.close()
}, 600_000)
