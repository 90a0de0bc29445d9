import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Harness, OpenGateway } from '../gateway.test-support.ts'
import type { Route } from './route.ts'
import { type Schema, wildly } from './schema-arbitrary.test-support.ts'

/** Requests of the fuzz for each operation; PLUMBLINE_FUZZ_RUNS asks for more. */
export const fuzzRuns = Number(process.env.PLUMBLINE_FUZZ_RUNS ?? 40)
export const fuzzTimeoutMs = 600_000 + fuzzRuns * 20_000

/** Patient, so that a busy machine is not taken for a fault. */
export const patient = { firstTokenMs: 300_000, idleMs: 300_000, totalMs: 300_000 }

export interface Operation {
  readonly security: readonly object[]
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: Schema }[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } }
  readonly responses: Readonly<Record<string, unknown>>
}
export interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export async function readDocument({ url }: OpenGateway): Promise<Document> {
  return (await (await fetch(`${url}/openapi.json`)).json()) as Document
}

export function operationsOf(document: Document) {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
}

interface FuzzParts {
  readonly harness: Harness
  readonly gateway: OpenGateway
  readonly operations: ReturnType<typeof operationsOf>
  /** Whose answers are held to their schema. */
  readonly routes: readonly Route[]
  /** Ids that there are, so that the fuzz gets past the first check. */
  readonly known: readonly string[]
}

/** Requests of any kind to each operation: no 5xx, no hang, no answer that is not described. */
export async function fuzzOperations({ harness, gateway, operations, routes, known }: FuzzParts): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const send = createSend(gateway.url, agent)
  const header = await headerArbitrary(harness, gateway)
  for (const { path, method, operation } of operations) {
    const parameters = operation.parameters ?? []
    const values = Object.fromEntries(
      parameters.map(({ name, schema }) => [name, fc.oneof(wildly(schema), fc.constantFrom(...known))]),
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
        checkAnswer(
          routes.find((one) => one.method === method && one.path === path),
          operation,
          response,
          called,
        )
      }),
      // Not made smaller: where the fault is a wait, each try would be one.
      { numRuns: fuzzRuns, endOnFailure: true },
    )
  }
  agent.destroy()
  expect(harness.warnings.filter((warning) => warning.includes('fault of ours'))).toEqual([])
}

/** Keys of several kinds, a session, and what else may stand in a head. */
async function headerArbitrary(harness: Harness, gateway: OpenGateway) {
  const otherAdmin = await harness.addKey('admin', 'other')
  const cookie = await sessionCookie(gateway)
  return fc.record(
    {
      authorization: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(harness.adminKey, otherAdmin).map((key) => `Bearer ${key}`) },
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
}

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

function checkAnswer(route: Route | undefined, operation: Operation, { status, text }: Answer, called: string): void {
  if (route === undefined) return
  // Where the values made another path of it, 404 and 405 are as good.
  const statuses = [...Object.keys(operation.responses).map(Number), 404, 405]
  expect(statuses, called).toContain(status)
  if (status < 300) route.response.parse(JSON.parse(text))
  else expect(JSON.parse(text).error, called).toMatchObject({ message: expect.any(String), type: expect.any(String) })
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

type Send = (method: string, path: string, headers: Record<string, string>, body: string | undefined) => Promise<Answer>

export const createSend =
  (url: string, agent: Agent): Send =>
  (method, path, headers, body) => {
    const safe = Object.entries(headers).map(([name, value]) => [name, value.replace(/[^\x20-\x7e]/g, '?')])
    const bytes = body === undefined ? undefined : Buffer.from(body)
    return new Promise((resolve, reject) => {
      const options = { method, headers: Object.fromEntries(safe), agent, timeout: 120_000 }
      const sent = request(url, { ...options, path }, (response) => {
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

async function sessionCookie(gateway: OpenGateway): Promise<{ value: string; token: string }> {
  const response = await gateway.send('POST', '/api/session')
  const value = response.headers.get('set-cookie')!.split(';')[0]
  return { value, token: ((await response.json()) as { csrf_token: string }).csrf_token }
}
