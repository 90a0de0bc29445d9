import { Agent } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endpoints } from '../endpoints.ts'
import { type Harness, type OpenGateway, startHarness } from '../gateway.test-support.ts'
import { openGuardWorld } from '../guards/guard-world.ts'
import { readGuards } from '../guards/read-guards.ts'
import {
  createSend,
  type Document,
  fuzzOperations,
  fuzzRuns,
  fuzzTimeoutMs,
  operationsOf,
  patient,
  readDocument,
} from './fuzz.test-support.ts'
import { publicPaths } from './openapi.ts'
import { routes } from './routes.ts'

let harness: Harness
let gateway: OpenGateway
let document: Document
let send: ReturnType<typeof createSend>
const agent = new Agent({ keepAlive: true, maxSockets: 4 })
beforeAll(async () => {
  harness = await startHarness()
  gateway = await harness.open(patient)
  send = createSend(gateway.url, agent)
  document = await readDocument(gateway)
}, 600_000)
afterAll(async () => {
  agent.destroy()
  await harness?.close()
}, 600_000)

test('every route is in the document, and every path of the document exists', async () => {
  expect(document.openapi).toBe('3.1.0')
  const documented = operationsOf(document).map(({ method, path }) => `${method} ${path}`)
  const served = [
    ...routes.map(({ method, path }) => `${method} ${path}`),
    ...Object.keys(endpoints).map((path) => `POST ${path}`),
    ...Object.keys(publicPaths).map((path) => `GET ${path}`),
    'GET /v1/models',
    'GET /v1/models/{model}',
  ]
  expect(documented.sort()).toEqual(served.sort())
  for (const { method, path, operation } of operationsOf(document)) {
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
  for (const { path, operation } of operationsOf(document)) {
    const named = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name)
    expect(named, path).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
  }
})

test(`${fuzzRuns} requests of any kind to each operation: no 5xx, no hang, no answer that is not described`, {
  timeout: fuzzTimeoutMs,
}, async () => {
  await fuzzOperations({ harness, gateway, operations: operationsOf(document), routes, known: await knownIds() })
})

test(`${fuzzRuns} requests of any kind to each endpoint behind guards of each way to look`, {
  timeout: fuzzTimeoutMs,
}, async () => {
  const guards = [
    { kind: 'personal-data', mode: 'redact' },
    { kind: 'rules', mode: 'block', keywords: ['a'], direction: 'input' },
    { kind: 'harm', mode: 'block' },
    { kind: 'prompt-injection', mode: 'replace', direction: 'input', replacement: 'No.' },
    { kind: 'refusal', mode: 'observe', direction: 'output' },
  ]
  const guarded = await harness.open({ ...patient, guards: readGuards(guards, openGuardWorld({})) })
  const operations = operationsOf(document).filter(({ path }) => Object.hasOwn(endpoints, path))
  expect(operations).toHaveLength(Object.keys(endpoints).length)
  await fuzzOperations({ harness, gateway: guarded, operations, routes, known: [] })
})

async function knownIds() {
  const answer = await gateway.post('/v1/chat/completions', JSON.stringify({ model: 'm', messages: [], user: 'u' }))
  const { id } = (await answer.json()) as { id: string }
  const { record } = await harness.recordOf((one) => one.id === id)
  const started = await gateway.send('POST', '/api/subjects/delete', { subject: 'nobody' })
  const { job } = (await started.json()) as { job: string }
  const revocable = await gateway.send('POST', '/api/keys', { scope: 'client' })
  return [id, record, job, ((await revocable.json()) as { id: string }).id, '1']
}
