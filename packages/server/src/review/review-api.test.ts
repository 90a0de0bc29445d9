import { reviewNextSchema, reviewStatsSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type TestServer, until } from '../server.test-support.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
}, 600_000)
afterAll(() => server?.stop(), 600_000)

test('a flag becomes an item, two people judge high stakes blindly, and their agreement is shown', async () => {
  const [client, admin] = [await server.addKey('client', 'review'), await server.addKey('admin', 'review')]
  const people = [await server.addKey('reviewer', 'review'), await server.addKey('reviewer', 'review')]
  const next = async (key: string) =>
    reviewNextSchema.parse((await server.send('GET', '/api/review/next', undefined, key)).body).item
  const act = (key: string, item: string, what: string, body: object) =>
    server.send('POST', `/api/review/${item}/${what}`, body, key)

  const { record } = await server.answer(client, 'a question that hurts', admin)
  const token = server.tokens.sign(record, 'review')
  const flag = { token, kind: 'flag', category: 'self-harm', text: '<script>alert(1)</script>' }
  expect((await server.send('POST', '/v1/feedback', flag)).status).toBe(200)

  const first = await until(async () => (await next(people[0])) ?? undefined)
  expect(first).toMatchObject({ reasons: ['flag'], category: 'self-harm', opinions: [], interaction: { record } })
  expect(first.feedback[0].text).toBe(flag.text)
  const draft = await act(people[0], first.item, 'draft', { lease: first.lease, draft: { comment: 'hm' } })
  expect(draft.status).toBe(200)
  const judged = { lease: first.lease, label: 'harmful', comment: 'clearly' }
  expect((await act(people[0], first.item, 'submit', judged)).body).toEqual({ state: 'open' })
  expect(await act(people[0], first.item, 'submit', judged)).toMatchObject({
    status: 404,
    body: { error: { code: 'no_such_lease' } },
  })
  expect(await next(people[0])).toBeNull()
  const second = (await next(people[1]))!
  expect(JSON.stringify(second)).not.toContain('clearly')
  const foreign = await act(people[0], second.item, 'submit', { lease: second.lease, label: 'fine' })
  expect(foreign.status).toBe(404)
  expect((await act(people[1], second.item, 'submit', { lease: second.lease, label: 'harmful' })).body).toEqual({
    state: 'done',
  })

  const stats = async (key: string) =>
    reviewStatsSchema.parse((await server.send('GET', '/api/review/stats', undefined, key)).body)
  const all = await stats(admin)
  expect(all).toMatchObject({ items: { open: 0, done: 1 }, agreement: { alpha: 1, items: 1, labels: 2 } })
  expect(all.reviewers).toHaveLength(2)
  expect((await stats(people[0])).reviewers).toHaveLength(1)
})

test('clients and other projects stay outside; an administrator fills the queue, which is noted', async () => {
  const client = await server.addKey('client', 'fill')
  const admin = await server.addKey('admin', 'fill')
  const { record } = await server.answer(client, 'sample me please', admin)
  expect((await server.send('GET', '/api/review/next', undefined, client)).status).toBe(403)
  const reviewer = await server.addKey('reviewer', 'fill')
  const add = { interaction: record, reason: 'guard', priority: 80, gold: 'harmful' }
  expect((await server.send('POST', '/api/review/items', add, reviewer)).status).toBe(403)
  expect((await server.send('POST', '/api/review/items', add, admin)).status).toBe(200)
  const sampled = await server.send('POST', '/api/review/sample', { count: 5 }, admin)
  expect(sampled.body).toEqual({ queued: 0 })
  const stranger = await server.addKey('reviewer', 'elsewhere')
  expect((await server.send('GET', '/api/review/next', undefined, stranger)).body).toEqual({ item: null })
  const { body } = await server.send('GET', '/api/review/next', undefined, reviewer)
  expect(JSON.stringify(body)).not.toContain('gold')
  const { body: audit } = await server.send('GET', '/api/audit', undefined, admin)
  expect((audit as { data: { action: string }[] }).data.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['review.add', 'review.sample']),
  )
})
