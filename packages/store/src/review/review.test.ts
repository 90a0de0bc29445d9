import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { recordRow } from '../record-row.test-support.ts'
import { createStore } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import type { ReviewRequest } from './queue.ts'

const hourMs = 3_600_000

describeStores('review', ({ name, store, database, open }) => {
  /** A project of its own with one answer in the queue. */
  const queued = async (fields: Partial<ReviewRequest> = {}) => {
    const project = `p${randomUUID()}`
    const add = async (more: Partial<ReviewRequest> = {}) => {
      const row = recordRow({ project })
      await store().insertInteractions([row])
      const about = { project, interaction: row.id, reason: 'flag', category: null, priority: 50, gold: null } as const
      await store().review.enqueue([{ ...about, people: 1, at: row.createdAt, ...fields, ...more }])
      return row.id
    }
    const interaction = await add()
    const next = (reviewer: string, leaseMs = hourMs) => store().review.next(project, reviewer, leaseMs)
    const judge = async (reviewer: string, label: string, people = 1) => {
      const { item, lease } = (await next(reviewer))!
      return store().review.submit({ project, reviewer, item, lease }, { answer: { label }, people })
    }
    return { project, interaction, add, next, judge, figures: () => store().review.figures(project) }
  }

  test('two reviewers at once never get the same place', async () => {
    const { add, next } = await queued()
    await add()
    await add({ people: 2 })
    const found = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((reviewer) => next(reviewer)))
    const items = found.flatMap((one) => one?.item ?? [])
    expect(items).toHaveLength(4)
    expect(new Set(items).size).toBe(3)
  })

  test('two writers of the same items, each in its own order, do not wait for each other in a circle', async () => {
    // Another PGlite is another database.
    const other = name === 'PostgreSQL' ? createStore(await open()) : store()
    for (let time = 0; time < 5; time++) {
      const project = `p${randomUUID()}`
      const requests = Array.from({ length: 500 }, (): ReviewRequest => {
        const about = { project, interaction: randomUUID(), reason: 'flag', category: null, priority: 50 } as const
        return { ...about, people: 1, gold: null, at: '2026-01-02T03:04:05.678Z' }
      })
      await Promise.all([store().review.enqueue(requests), other.review.enqueue(requests.toReversed())])
      const [{ items }] = await database().query(
        'select count(*)::integer as items from plumbline.review_items where project = $1',
        [project],
      )
      expect(items).toBe(500)
    }
  })

  test('the same reviewer gets the same lease until it ends; the most urgent comes first', async () => {
    const { add, next } = await queued()
    const urgent = await add({ priority: 90 })
    const first = (await next('a'))!
    expect(first.interaction.id).toBe(urgent)
    expect(await next('a')).toMatchObject({ item: first.item, lease: first.lease })
    expect((await next('b'))!.item).not.toBe(first.item)
    expect(await next('c')).toBeUndefined()
  })

  test('a lease that runs out while writing: told, the draft kept, and taken up again', async () => {
    const { project, next } = await queued()
    const first = (await next('a', 0))!
    const holder = { project, reviewer: 'a', item: first.item, lease: first.lease }
    const taken = (await next('b'))!
    expect(taken.item).toBe(first.item)
    expect(taken.draft).toBeNull()
    expect(await store().review.keep(holder, { comment: 'half a thou' }, hourMs)).toBe('lost')
    expect(await store().review.submit(holder, { answer: { label: 'bad', comment: 'whole' }, people: 1 })).toBe('lost')
    expect(await store().review.skip({ project, reviewer: 'b', item: taken.item, lease: taken.lease })).toBe('skipped')
    const again = (await next('a'))!
    expect(again).toMatchObject({ item: first.item, draft: { label: 'bad', comment: 'whole' } })
    expect(again.lease).not.toBe(first.lease)
    expect(await store().review.keep(holder, {}, hourMs)).toBe('none')
    expect(await store().review.keep({ ...holder, lease: again.lease }, { label: 'ok' }, hourMs)).toMatch(/^\d{4}-/)
    expect(await next('b')).toBeUndefined()
  })

  test('a lease from when the database’s clock was ahead by three hours keeps no place', async () => {
    const { project, next } = await queued()
    const held = (await next('ahead'))!
    await database().query(
      `update plumbline.review_responses set leased_until = leased_until + interval '3 hours' where item = $1::uuid`,
      [held.item],
    )
    expect(await store().review.keep({ project, reviewer: 'ahead', ...held }, { label: 'x' }, hourMs)).toBe('lost')
    expect((await next('other'))?.item).toBe(held.item)
  })

  test('a late answer counts while nobody took the place', async () => {
    const { project, next, figures } = await queued()
    const { item, lease } = (await next('a', 0))!
    const holder = { project, reviewer: 'a', item, lease }
    expect(await store().review.submit(holder, { answer: { label: 'ok' }, people: 1 })).toBe('done')
    expect(await store().review.submit(holder, { answer: { label: 'ok' }, people: 1 })).toBe('none')
    expect((await figures()).items).toEqual({ open: 0, waiting: 0, disputed: 0, done: 1 })
  })

  test('second opinions are blind; a dispute shows them to a third, who decides', async () => {
    const { next, judge, figures } = await queued({ people: 2 })
    expect(await judge('a', 'harmful')).toBe('open')
    expect(await next('a')).toBeUndefined()
    expect(await next('b')).toMatchObject({ isAdjudication: false, opinions: [], draft: null })
    expect(await judge('b', 'fine')).toBe('disputed')
    expect(await next('a')).toBeUndefined()
    expect(await next('c')).toMatchObject({ isAdjudication: true, opinions: [{ label: 'harmful' }, { label: 'fine' }] })
    expect(await judge('c', 'unclear')).toBe('disputed')
    expect(await judge('d', 'fine')).toBe('done')
    const { labels } = await figures()
    expect(labels.map(({ label }) => label).sort()).toEqual(['fine', 'harmful'])
    const [item] = await database().query(`select outcome from plumbline.review_items where id = $1::uuid`, [
      labels[0].item,
    ])
    expect(item.outcome).toBe('fine')
  })

  test('one person alone settles nothing of high stakes', async () => {
    const { judge } = await queued()
    expect(await judge('a', 'harmful', 2)).toBe('open')
    expect(await judge('b', 'harmful')).toBe('done')
  })

  test('more people wanted reopen what one has settled; asking again changes nothing', async () => {
    const { project, interaction, judge, figures } = await queued()
    expect(await judge('a', 'fine')).toBe('done')
    const again = {
      project,
      interaction,
      category: 'self-harm',
      priority: 1,
      gold: null,
      at: '2026-01-03T00:00:00.000Z',
    }
    await store().review.enqueue([{ ...again, reason: 'guard', people: 1 }])
    expect((await figures()).items.done).toBe(1)
    await store().review.enqueue([{ ...again, reason: 'guard', people: 2 }])
    expect((await figures()).items).toMatchObject({ open: 1, done: 0 })
    expect(await judge('b', 'fine')).toBe('done')
  })

  test('gold items are put to everybody, look like others, and measure', async () => {
    const { judge, next, figures } = await queued({ gold: 'harmful', reason: 'random' })
    expect(await next('a')).toMatchObject({ reasons: ['random'], isAdjudication: false })
    expect(JSON.stringify(await next('a'))).not.toContain('gold')
    await judge('a', 'harmful')
    await judge('b', 'fine')
    await judge('c', 'harmful')
    const { reviewers, labels, items } = await figures()
    expect(reviewers.map(({ reviewer, goldRight, gold }) => [reviewer, goldRight, gold])).toEqual([
      ['a', 1, 1],
      ['b', 0, 1],
      ['c', 1, 1],
    ])
    expect(reviewers[0].medianLeadMs).toBeGreaterThanOrEqual(0)
    expect(labels).toEqual([])
    expect(items).toEqual({ open: 0, waiting: 0, disputed: 0, done: 0 })
  })

  test('an answer that has not come is asked of nobody, until it comes; by its record too', async () => {
    const { project, next, judge, figures } = await queued()
    await judge('a', 'fine')
    const row = recordRow({ project })
    const about = { project, interaction: row.record, reason: 'flag', category: null, priority: 99, people: 1 } as const
    await store().review.enqueue([{ ...about, gold: null, at: row.createdAt }])
    expect(await next('a')).toBeUndefined()
    expect((await figures()).items.waiting).toBe(1)
    await store().insertInteractions([row])
    expect((await next('a'))!.interaction.id).toBe(row.id)
  })

  test('a random sample takes what is not queued, once; another project’s lease is nobody’s', async () => {
    const { project, interaction, next } = await queued()
    const more = recordRow({ project })
    await store().insertInteractions([more])
    const at = '2026-01-05T00:00:00.000Z'
    expect(await store().review.sample(project, { count: 10, at })).toBe(1)
    expect(await store().review.sample(project, { count: 10, at })).toBe(0)
    const { item, lease, interaction: found } = (await next('a'))!
    expect(found.id).toBe(interaction)
    const stranger = { project: 'other', reviewer: 'a', item, lease }
    expect(await store().review.submit(stranger, { answer: { label: 'x' }, people: 1 })).toBe('none')
    expect(await store().review.keep(stranger, {}, 1)).toBe('none')
    expect(await store().review.skip(stranger)).toBe('none')
  })
})
