import { randomUUID } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { createStore, type Store } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import { startWorker } from './worker.ts'

const leaseMs = 600_000

describeStores('jobs', (suite) => {
  let store: Store
  beforeAll(() => {
    store = suite.store()
  })
  // Kinds of a test's own: the queue is shared.
  const newKind = () => `kind-${randomUUID()}`
  const enqueue = (kind: string, more: object = {}) =>
    store.jobs.enqueue({ kind, project: 'p', payload: { n: 1 }, ...more })

  test('a job is leased once, completed once, and found by its project alone', async () => {
    const kind = newKind()
    const { id } = await enqueue(kind)
    const job = (await store.jobs.lease([kind], leaseMs))!
    expect(job).toMatchObject({ id, kind, project: 'p', payload: { n: 1 }, state: 'running', attempts: 1 })
    expect(await store.jobs.lease([kind], leaseMs)).toBeUndefined()
    expect(await store.jobs.heartbeat(job, leaseMs)).toBe(true)
    expect(await store.jobs.complete(job, { deleted: 3 })).toBe(true)
    expect(await store.jobs.complete(job)).toBe(false)
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'done', result: { deleted: 3 }, error: null })
    expect(await store.jobs.find('q', id)).toBeUndefined()
  })

  test('the same idempotency key is the same job, in one project', async () => {
    const kind = newKind()
    const first = await enqueue(kind, { idempotencyKey: 'once' })
    expect(await enqueue(kind, { idempotencyKey: 'once', payload: {} })).toEqual({ id: first.id, isNew: false })
    expect(await enqueue(kind, { idempotencyKey: 'once', project: 'q' })).toMatchObject({ isNew: true })
    expect(await enqueue(kind)).toMatchObject({ isNew: true })
    expect(await enqueue(kind)).toMatchObject({ isNew: true })
  })

  test('a lease that ran out goes to another worker, and the first can do nothing more', async () => {
    const kind = newKind()
    await enqueue(kind)
    const first = (await store.jobs.lease([kind], 0))!
    const second = (await store.jobs.lease([kind], leaseMs))!
    expect(second).toMatchObject({ id: first.id, attempts: 2 })
    expect(await store.jobs.heartbeat(first, leaseMs)).toBe(false)
    expect(await store.jobs.complete(first)).toBe(false)
    expect(await store.jobs.fail(first, 'x', 0)).toBe(false)
    expect(await store.jobs.complete(second)).toBe(true)
  })

  test('a failed job waits, is tried again, and is dead after the last try', async () => {
    const kind = newKind()
    const { id } = await enqueue(kind, { maxAttempts: 2 })
    await store.jobs.fail((await store.jobs.lease([kind], leaseMs))!, 'first\u0000', 0)
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'waiting', error: 'first\ufffd' })
    await store.jobs.fail((await store.jobs.lease([kind], leaseMs))!, 'second', 0)
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'dead', error: 'second', attempts: 2 })
    expect(await store.jobs.lease([kind], leaseMs)).toBeUndefined()
    await enqueue(kind)
    await store.jobs.fail((await store.jobs.lease([kind], leaseMs))!, 'later', 3_600_000)
    expect(await store.jobs.lease([kind], leaseMs)).toBeUndefined()
  })

  test('a job that ends every worker that takes it is dead too', async () => {
    const kind = newKind()
    const { id } = await enqueue(kind, { maxAttempts: 2 })
    for (let i = 0; i < 2; i++) expect(await store.jobs.lease([kind], 0)).toMatchObject({ id })
    expect(await store.jobs.lease([kind], 0)).toBeUndefined()
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'dead', error: expect.stringContaining('silent') })
  })

  test('a clock that was set back by three hours: what waits, what runs and what repeats is due, and dead in the end', async () => {
    const kind = newKind()
    const setBack = (id: string) =>
      suite.database().query(
        `update plumbline.jobs set run_at = run_at + interval '3 hours', leased_until = leased_until + interval '3 hours'
        where id = $1::uuid`,
        [id],
      )
    const { id } = await enqueue(kind, { maxAttempts: 2 })
    await setBack(id)
    expect(await store.jobs.lease([kind], leaseMs)).toMatchObject({ id, attempts: 1 })
    await setBack(id)
    expect(await store.jobs.lease([kind], leaseMs)).toMatchObject({ id, attempts: 2 })
    await setBack(id)
    expect(await store.jobs.lease([kind], leaseMs)).toBeUndefined()
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'dead' })

    const repeated = newKind()
    await store.jobs.schedule({ kind: repeated, payload: 1, everyMs: 7 * 86_400_000 })
    const job = (await store.jobs.lease([repeated], leaseMs))!
    await store.jobs.complete(job)
    expect(await store.jobs.lease([repeated], leaseMs)).toBeUndefined()
    await setBack(job.id)
    expect(await store.jobs.lease([repeated], leaseMs)).toMatchObject({ id: job.id })
  })

  test('a job that is put back has lost no try; one with a delay waits', async () => {
    const kind = newKind()
    await enqueue(kind)
    expect(await store.jobs.release((await store.jobs.lease([kind], leaseMs))!)).toBe(true)
    expect(await store.jobs.lease([kind], leaseMs)).toMatchObject({ attempts: 1 })
    await enqueue(kind, { delayMs: 3_600_000 })
    expect(await store.jobs.lease([kind], leaseMs)).toBeUndefined()
  })

  test('a scheduled job comes again, also after it failed; there is one of it', async () => {
    const kind = newKind()
    await store.jobs.schedule({ kind, payload: 1, everyMs: 0 })
    await store.jobs.schedule({ kind, payload: 2, everyMs: 0 })
    for (let i = 0; i < 2; i++) {
      const job = (await store.jobs.lease([kind], leaseMs))!
      expect(job).toMatchObject({ payload: 2, attempts: 1 })
      await store.jobs.complete(job)
    }
    for (let i = 1; i <= 3; i++) {
      const job = (await store.jobs.lease([kind], leaseMs))!
      expect(job.attempts).toBe(i)
      await store.jobs.fail(job, 'no', 0)
    }
    expect(await store.jobs.lease([kind], leaseMs)).toMatchObject({ attempts: 1 })
    await store.jobs.schedule({ kind, payload: 3, everyMs: 3_600_000 })
  })

  test('two workers share a queue: every job is done, none twice', async () => {
    const kind = newKind()
    const stores = suite.name === 'PostgreSQL' ? [store, createStore(await suite.open())] : [store, store]
    const done: number[][] = [[], []]
    const total = 60
    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    for (let n = 0; n < total; n++) await enqueue(kind, { payload: n })
    const workers = stores.map(({ jobs }, index) =>
      startWorker(jobs, {
        warn: () => {},
        handlers: {
          [kind]: async (payload) => {
            done[index].push(Number(payload))
            if (done.flat().length === total) finish()
          },
        },
      }),
    )
    await finished
    for (const worker of workers) await worker.stop()
    expect(done.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, n) => n))
    if (suite.name === 'PostgreSQL') expect(Math.min(...done.map(({ length }) => length))).toBeGreaterThan(0)
  })

  test('a worker tries again what failed, and puts back what it was stopped in', async () => {
    const kind = newKind()
    const { id } = await enqueue(kind)
    const warnings: string[] = []
    let begun = () => {}
    const secondTry = new Promise<void>((resolve) => {
      begun = resolve
    })
    let tries = 0
    const worker = startWorker(store.jobs, {
      backoffMs: 1,
      pollMs: 5,
      warn: (text) => void warnings.push(text),
      handlers: {
        [kind]: async (_payload, { signal }) => {
          if (++tries === 1) throw new Error('no luck')
          begun()
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        },
      },
    })
    await secondTry
    await worker.stop()
    expect(warnings).toEqual([expect.stringContaining('try 1 of 5: no luck')])
    expect(await store.jobs.find('p', id)).toMatchObject({ state: 'waiting', attempts: 1, error: 'no luck' })
  })

  test('a worker whose lease was lost is told to stop', async () => {
    const kind = newKind()
    const { id } = await enqueue(kind)
    let tell = (_reason: string) => {}
    const told = new Promise<string>((resolve) => {
      tell = resolve
    })
    const worker = startWorker(store.jobs, {
      leaseMs: 30,
      warn: () => {},
      handlers: {
        [kind]: async (_payload, { signal }) => {
          // Another worker's lease takes the place of ours.
          await suite
            .database()
            .query(
              `update plumbline.jobs set lease = $1::uuid, leased_until = now() + interval '1 hour' where id = $2::uuid`,
              [randomUUID(), id],
            )
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          tell(signal.reason.message)
        },
      },
    })
    expect(await told).toBe('the lease was lost')
    await worker.stop()
  })
})
