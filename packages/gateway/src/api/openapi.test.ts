import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endpoints } from '../endpoints.ts'
import { type Harness, type OpenGateway, startHarness } from '../gateway.test-support.ts'
import { publicPaths } from './openapi.ts'
import { routes } from './routes.ts'
import { type Schema, wildly } from './schema-arbitrary.test-support.ts'

/** Requests of the fuzz for each operation; PLUMBLINE_FUZZ_RUNS asks for more. */
const runs = Number(process.env.PLUMBLINE_FUZZ_RUNS ?? 40)

interface Operation {
  readonly security: readonly object[]
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: Schema }[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } }
  readonly responses: Readonly<Record<string, unknown>>
}
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

let harness: Harness
let gateway: OpenGateway
let document: Document
const agent = new Agent({ keepAlive: true, maxSockets: 4 })
beforeAll(async () => {
  harness = await startHarness()
  // Patient, so that a busy machine is not taken for a fault.
  gateway = await harness.open({ firstTokenMs: 300_000, idleMs: 300_000, totalMs: 300_000 })
  document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document
}, 600_000)
afterAll(async () => {
  agent.destroy()
  await harness?.close()
}, 600_000)

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )

test('every route is in the document, and every path of the document exists', async () => {
  expect(document.openapi).toBe('3.1.0')
  const documented = operations().map(({ method, path }) => `${method} ${path}`)
  const served = [
    ...routes.map(({ method, path }) => `${method} ${path}`),
    ...Object.keys(endpoints).map((path) => `POST ${path}`),
    ...Object.keys(publicPaths).map((path) => `GET ${path}`),
    'GET /v1/models',
    'GET /v1/models/{model}',
  ]
  expect(documented.sort()).toEqual(served.sort())
  for (const { method, path, operation } of operations()) {
    const filled = path.replace(/\{\w+\}/g, 'x')
    const response = await send(method, filled, { authorization: `Bearer ${harness.adminKey}` }, undefined)
    expect(response.text, `${method} ${path}`).not.toMatch(/unknown_url|method_not_allowed/)
    const isOpen = operation.security.length === 0
    expect((await send(method, filled, {}, undefined)).status === 401, `${method} ${path}`).toBe(!isOpen)
  }
  for (const path of ['/api/none', '/v1/none', '/none', '/api/keys/key_x/more', '/api/']) {
    const { text } = await send('GET', path, { authorization: `Bearer ${harness.adminKey}` }, undefined)
    expect(text, path).toContain('unknown_url')
  }
})

test('references lead somewhere, and parameters of a path are described', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference)
  expect(references.length).toBeGreaterThan(20)
  for (const reference of references) {
    expect(reference).toMatch(/^#\/components\/schemas\/\w+$/)
    expect(document.components.schemas).toHaveProperty(reference.split('/').at(-1)!)
  }
  for (const { path, operation } of operations()) {
    const named = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name)
    expect(named, path).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
  }
})

test(`${runs} requests of any kind to each operation: no 5xx, no hang, no answer that is not described`, {
  timeout: 600_000 + runs * 20_000,
}, async () => {
  const ids = await knownIds()
  const cookie = await sessionCookie()
  const header = fc.record(
    {
      authorization: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(harness.adminKey, ids.otherAdmin).map((key) => `Bearer ${key}`) },
        { weight: 1, arbitrary: fc.constant(`Bearer ${harness.clientKey}`) },
        { weight: 1, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 30 }) },
      ),
      cookie: fc.oneof(fc.constant(cookie.value), fc.string({ unit: 'grapheme-ascii', maxLength: 60 })),
      'x-csrf-token': fc.oneof(fc.constant(cookie.token), fc.string({ unit: 'grapheme-ascii', maxLength: 50 })),
      'content-type': fc.constantFrom('application/json', 'text/plain', 'application/json; charset=utf-7'),
      'content-encoding': fc.constantFrom('identity', 'gzip'),
      'x-forwarded-proto': fc.constantFrom('https', 'http', ''),
      accept: fc.constantFrom('*/*', 'text/html'),
      'x-request-id': fc.string({ unit: 'grapheme-ascii', maxLength: 300 }),
    },
    { requiredKeys: [] },
  )
  for (const { path, method, operation } of operations()) {
    const parameters = operation.parameters ?? []
    const values = Object.fromEntries(
      parameters.map(({ name, schema }) => [name, fc.oneof(wildly(schema), fc.constantFrom(...ids.known))]),
    )
    const bodySchema = operation.requestBody?.content['application/json'].schema
    const body =
      bodySchema &&
      fc.oneof(
        { weight: 6, arbitrary: wildly(bodySchema).map((value) => JSON.stringify(value)) },
        { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
      )
    const required = parameters.filter((one) => one.required).map(({ name }) => name)
    const any = fc.record({
      values: fc.record(values, { requiredKeys: required }),
      more: fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ unit: 'binary', maxLength: 8 }), { maxKeys: 1 }),
      headers: header,
      body: body ?? fc.constant(undefined),
    })
    await fc.assert(
      fc.asyncProperty(any, async ({ values, more, headers, body }) => {
        const { target, sent } = place(path, parameters, values, more)
        const response = await send(method, target, { ...headers, ...sent }, body)
        const called = `${method} ${target} ${response.text.slice(0, 300)}`
        expect(response.status, called).toBeLessThan(500)
        checkAnswer(path, method, operation, response, called)
      }),
      // Not made smaller: where the fault is a wait, each try would be one.
      { numRuns: runs, endOnFailure: true },
    )
  }
  expect(harness.warnings.filter((warning) => warning.includes('fault of ours'))).toEqual([])
})

/** Puts values where a document says that they go. */
function place(
  path: string,
  parameters: Operation['parameters'] = [],
  values: Record<string, unknown>,
  more: Record<string, string>,
) {
  const plain = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed()
  const query = new URLSearchParams(Object.entries(more).map(([name, value]) => [name.toWellFormed(), plain(value)]))
  const sent: Record<string, string> = {}
  let target = path
  for (const { name, in: where } of parameters) {
    if (!(name in values)) continue
    const value = plain(values[name])
    if (where === 'path') target = target.replace(`{${name}}`, () => encodeURIComponent(value))
    else if (where === 'query') query.set(name, value)
    else sent[name] = value
  }
  const { length } = query.toString()
  return { target: length === 0 ? target : `${target}?${query}`, sent }
}

function checkAnswer(
  path: string,
  method: string,
  operation: Operation,
  { status, text }: Answer,
  called: string,
): void {
  if (!path.startsWith('/api/')) return
  // Where the values made another path of it, 404 and 405 are as good.
  const statuses = [...Object.keys(operation.responses).map(Number), 404, 405]
  expect(statuses, called).toContain(status)
  const route = routes.find((one) => one.method === method && one.path === path)!
  if (status < 300) route.response.parse(JSON.parse(text))
  else expect(JSON.parse(text).error, called).toMatchObject({ message: expect.any(String), type: expect.any(String) })
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

function send(
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | undefined,
): Promise<Answer> {
  const safe = Object.entries(headers).map(([name, value]) => [name, value.replace(/[^\x20-\x7e]/g, '?')])
  const bytes = body === undefined ? undefined : Buffer.from(body)
  return new Promise((resolve, reject) => {
    const options = { method, headers: Object.fromEntries(safe), agent, timeout: 120_000 }
    const sent = request(`${gateway.url}`, { ...options, path }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      )
      response.on('error', reject)
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path}`)))
    sent.on('error', reject)
    sent.end(bytes)
  })
}

/** Ids that there are, so that the fuzz gets past the first check; and somebody else's key. */
async function knownIds() {
  const otherAdmin = await harness.addKey('admin', 'other')
  const answer = await gateway.post('/v1/chat/completions', JSON.stringify({ model: 'm', messages: [], user: 'u' }))
  const { id } = (await answer.json()) as { id: string }
  const { record } = await harness.recordOf((one) => one.id === id)
  const started = await gateway.send('POST', '/api/subjects/delete', { subject: 'nobody' })
  const { job } = (await started.json()) as { job: string }
  const revocable = await gateway.send('POST', '/api/keys', { scope: 'client' })
  return { otherAdmin, known: [id, record, job, ((await revocable.json()) as { id: string }).id, '1'] }
}

async function sessionCookie(): Promise<{ value: string; token: string }> {
  const response = await gateway.send('POST', '/api/session')
  const value = response.headers.get('set-cookie')!.split(';')[0]
  return { value, token: ((await response.json()) as { csrf_token: string }).csrf_token }
}
