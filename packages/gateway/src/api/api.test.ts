import { setTimeout as sleep } from 'node:timers/promises'
import { interactionPageSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, type OpenGateway, startHarness } from '../gateway.test-support.ts'

let harness: Harness
let gateway: OpenGateway
beforeAll(async () => {
  harness = await startHarness()
  gateway = await harness.open()
}, 600_000)
afterAll(() => harness?.close(), 600_000)

/** An answer of a project, with what the request says of a person. */
async function ask(project: string, fields: object): Promise<string> {
  const key = await harness.addKey('client', project)
  const response = await gateway.post('/v1/chat/completions', JSON.stringify({ model: 'm', messages: [], ...fields }), {
    authorization: `Bearer ${key}`,
  })
  const { id } = (await response.json()) as { id: string }
  await harness.recordOf((record) => record.id === id, project)
  return id
}

async function finished(job: string, key: string): Promise<{ state: string; result: unknown }> {
  for (;;) {
    const found = (await (await gateway.get(`/api/jobs/${job}`, key)).json()) as { state: string; result: unknown }
    if (found.state === 'done' || found.state === 'dead') return found
    await sleep(10)
  }
}

describe('people', () => {
  test('a person is kept as a hash, found by name, and deleted; others stay', async () => {
    const project = 'people'
    const admin = await harness.addKey('admin', project)
    const ids = [
      await ask(project, { user: 'anna@example.com' }),
      await ask(project, { safety_identifier: 'other', metadata: { user_id: 'anna@example.com', topic: 'x' } }),
      await ask(project, { user: 'ben@example.com' }),
      await ask(project, {}),
    ]
    expect(harness.upstream.requests.some(({ body }) => body.includes('anna@example.com'))).toBe(true)
    const list = async (query = '') =>
      ((await (await gateway.get(`/api/interactions${query}`, admin)).json()) as { data: { id: string }[] }).data
    const all = await list()
    expect(JSON.stringify(all)).not.toContain('example.com')
    expect(interactionPageSchema.shape.data.parse(all)).toEqual(all)
    const anna = await list(`?subject=${encodeURIComponent('anna@example.com')}`)
    expect(anna.map(({ id }) => id)).toEqual([ids[1], ids[0]])
    expect(anna[0]).toMatchObject({
      subjects: [expect.any(String), expect.any(String)],
      request: { metadata: { topic: 'x' } },
    })

    const started = await gateway.send('POST', '/api/subjects/delete', { subject: 'anna@example.com' }, admin)
    expect(started.status).toBe(202)
    const { job, subject_hash } = (await started.json()) as { job: string; subject_hash: string }
    expect(await finished(job, admin)).toMatchObject({ state: 'done', result: { records: 2 } })
    expect((await list()).map(({ id }) => id)).toEqual([ids[3], ids[2]])
    const { data } = (await (await gateway.get('/api/audit', admin)).json()) as { data: unknown[] }
    expect(data[0]).toMatchObject({ action: 'subject.delete', target: subject_hash, project, outcome: 'done' })
    expect(JSON.stringify(data)).not.toContain('example.com')
  })

  test('redaction by the hash of a record', async () => {
    const project = 'redaction'
    const admin = await harness.addKey('admin', project)
    const id = await ask(project, { user: 'carl' })
    const before = (await (await gateway.get(`/api/interactions/${id}`, admin)).json()) as { subjects: string[] }
    const body = { subject_hash: before.subjects[0] }
    const { job } = (await (await gateway.send('POST', '/api/subjects/redact', body, admin)).json()) as { job: string }
    expect(await finished(job, admin)).toMatchObject({ state: 'done', result: { records: 1 } })
    const after = (await (await gateway.get(`/api/interactions/${id}`, admin)).json()) as object
    expect(after).toMatchObject({ id, text: '', request: null, subjects: [], redaction: { reason: 'subject' } })
  })

  test('another project reaches neither the record nor the job', async () => {
    const id = await ask('mine', { user: 'dora' })
    const [admin, stranger] = [await harness.addKey('admin', 'mine'), await harness.addKey('admin', 'yours')]
    expect((await gateway.get(`/api/interactions/${id}`, stranger)).status).toBe(404)
    const started = await gateway.send('POST', '/api/subjects/delete', { subject: 'dora' }, stranger)
    const { job } = (await started.json()) as { job: string }
    expect(await finished(job, stranger)).toMatchObject({ result: { records: 0 } })
    expect((await gateway.get(`/api/jobs/${job}`, admin)).status).toBe(404)
    expect((await gateway.get(`/api/interactions/${id}`, admin)).status).toBe(200)
  })

  test.each([
    {},
    { subject: '' },
    { subject: 'a', subject_hash: 'b'.repeat(43) },
    { subject_hash: 'short' },
    { other: 1 },
  ])('%j is no person', async (body) => {
    const response = await gateway.send('POST', '/api/subjects/delete', body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_value' } })
  })
})

describe('keys', () => {
  test('a list without secrets, of one project; the operator sees all, revoked ones too', async () => {
    const admin = await harness.addKey('admin', 'listed')
    const made = await gateway.send('POST', '/api/keys', { scope: 'client', name: 'app' }, admin)
    const { key, id } = (await made.json()) as { key: string; id: string }
    await gateway.send('DELETE', `/api/keys/${id}`, undefined, admin)
    const text = await (await gateway.get('/api/keys', admin)).text()
    expect(text).not.toContain(key)
    const { data } = JSON.parse(text) as { data: { id: string; project: string; revoked_at: string | null }[] }
    expect(new Set(data.map(({ project }) => project))).toEqual(new Set(['listed']))
    expect(data.find((one) => one.id === id)?.revoked_at).toMatch(/^\d{4}-/)
    const everyone = (await (await gateway.get('/api/keys?limit=1000')).json()) as { data: { project: string }[] }
    expect(new Set(everyone.data.map((one) => one.project)).size).toBeGreaterThan(1)
    const first = (await (await gateway.get('/api/keys?limit=1')).json()) as { next: string; data: { id: string }[] }
    const second = (await (await gateway.get(`/api/keys?limit=1&after=${first.next}`)).json()) as typeof first
    expect(second.data[0].id > first.data[0].id).toBe(true)
  })
})

describe('sessions', () => {
  const begin = async (key: string, headers: Record<string, string> = {}, { url } = gateway) => {
    const response = await fetch(`${url}/api/session`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, ...headers },
    })
    const cookie = response.headers.get('set-cookie') ?? ''
    return { response, cookie, value: cookie.split(';')[0], body: (await response.json()) as { csrf_token: string } }
  }
  const call = (method: string, path: string, headers: Record<string, string>, body?: string) =>
    fetch(`${gateway.url}${path}`, { method, headers, body })
  const codeOf = async (response: Response) => ((await response.json()) as { error?: { code: string } }).error?.code

  test('a key gives a cookie that scripts and other sites cannot use', async () => {
    const key = await harness.addKey('admin', 'sessions')
    const { response, cookie, value, body } = await begin(key)
    expect(response.status).toBe(200)
    expect(cookie).toMatch(/^plumbline_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/)
    expect((await begin(key, { 'x-forwarded-proto': 'https' })).cookie).toContain('; Secure')
    const read = await call('GET', '/api/session', { cookie: `other=1; ${value}` })
    expect(await read.json()).toMatchObject({ project: 'sessions', scope: 'admin', csrf_token: body.csrf_token })
    expect((await call('GET', '/api/interactions', { cookie: value })).status).toBe(200)
    // What lies in the store opens nothing.
    const stored = await harness.store.audit.list('sessions', { limit: 1 })
    expect(JSON.stringify(stored)).not.toContain(value.split('=')[1])
  })

  test('what changes something needs the token of this very session', async () => {
    const key = await harness.addKey('admin', 'csrf')
    const [mine, other] = [await begin(key), await begin(key)]
    const make = (headers: Record<string, string>) =>
      call(
        'POST',
        '/api/keys',
        { cookie: mine.value, 'content-type': 'application/json', ...headers },
        '{"scope":"client"}',
      )
    for (const token of [undefined, '', 'x', other.body.csrf_token]) {
      const response = await make(token === undefined ? {} : { 'x-csrf-token': token })
      expect([response.status, await codeOf(response)]).toEqual([403, 'csrf_token'])
    }
    expect((await make({ 'x-csrf-token': mine.body.csrf_token })).status).toBe(200)
  })

  test('logging out, a revoked key and a made-up cookie end it', async () => {
    const admin = await harness.addKey('admin', 'ended')
    const { value, body } = await begin(admin)
    const csrf = { 'x-csrf-token': body.csrf_token }
    expect((await call('DELETE', '/api/session', { cookie: value })).status).toBe(403)
    const out = await call('DELETE', '/api/session', { cookie: value, ...csrf })
    expect(out.headers.get('set-cookie')).toContain('Max-Age=0')
    expect(await codeOf(await call('GET', '/api/session', { cookie: value }))).toBe('session_ended')

    const made = await gateway.send('POST', '/api/keys', { scope: 'reviewer' }, admin)
    const { key, id } = (await made.json()) as { key: string; id: string }
    const reviewer = await begin(key)
    expect((await call('GET', '/api/session', { cookie: reviewer.value })).status).toBe(200)
    expect(await codeOf(await call('GET', '/api/keys', { cookie: reviewer.value }))).toBe('wrong_scope')
    await gateway.send('DELETE', `/api/keys/${id}`, undefined, admin)
    expect((await call('GET', '/api/session', { cookie: reviewer.value })).status).toBe(401)
    for (const cookie of [`plumbline_session=${'a'.repeat(43)}`, 'plumbline_session=', 'nothing']) {
      expect((await call('GET', '/api/session', { cookie })).status).toBe(401)
    }
  })

  test('one that was begun while the clock was ahead by a year does not live for a year', async () => {
    const ahead = await harness.open({}, { now: () => Date.now() + 365 * 86_400_000 })
    const { value } = await begin(await harness.addKey('admin'), {}, ahead)
    expect((await fetch(`${ahead.url}/api/session`, { headers: { cookie: value } })).status).toBe(200)
    expect(await codeOf(await call('GET', '/api/session', { cookie: value }))).toBe('session_ended')
  })

  test('a session does not open the models, begin another session, or belong to a client', async () => {
    const { value, body } = await begin(await harness.addKey('admin'))
    const headers = { cookie: value, 'x-csrf-token': body.csrf_token }
    expect((await call('GET', '/v1/models', headers)).status).toBe(401)
    expect((await call('POST', '/api/session', headers)).status).toBe(401)
    expect((await begin(harness.clientKey)).response.status).toBe(403)
  })

  test('a store that is away is said, and is no end of the session', async () => {
    const { value } = await begin(await harness.addKey('admin'))
    harness.setStoreAway(true)
    try {
      expect(await codeOf(await call('GET', '/api/session', { cookie: value }))).toBe('store_away')
    } finally {
      harness.setStoreAway(false)
    }
    expect((await call('GET', '/api/session', { cookie: value })).status).toBe(200)
  })
})
