/** OpenAI's own client for Python before the real command. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Interaction } from '@plumbline/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LineProcess, startLineProcess } from '../../benchmarks/line-process.ts'
import {
  sentence,
  startUpstream,
  type UpstreamServer,
} from '../../packages/gateway/src/upstream-server.test-support.ts'
import { startPlumb } from './plumb-process.ts'
import { findPythonClient } from './python-client.ts'

const client = await findPythonClient()
const skipped = 'absent' in client ? ` (skipped: ${client.absent})` : ''
const adminKey = 'an-administrator-key-of-this-test'

/** The whole answer of an upstream, in the one piece that its behaviour `pieces` sends. */
function piecesOf(message: object): { pieces: string[] } {
  const choice = { index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop', logprobs: null }
  const answer = { id: 'chatcmpl-own', object: 'chat.completion', created: 1, model: 'm', choices: [choice] }
  return { pieces: [Buffer.from(JSON.stringify(answer)).toString('base64')] }
}

describe.skipIf('absent' in client)(`the official client for Python${skipped}`, { timeout: 60_000 }, () => {
  let folder: string
  let upstream: UpstreamServer
  let plumb: Awaited<ReturnType<typeof startPlumb>>
  let url: string
  let python: LineProcess
  const api = async (path: string, body?: object) => {
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
    const more = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    return (await (await fetch(`${url}${path}`, { headers, ...more })).json()) as Record<string, unknown>
  }
  const recordOf = async (id: string) => {
    const read = () => api(`/api/interactions/${id}`)
    await expect.poll(read, { timeout: 20_000 }).toHaveProperty('termination')
    return (await read()) as unknown as Interaction
  }
  const failure = (request: object) => python.call('failure', request as Record<string, unknown>)
  const ofModel = (model: string) => upstream.requests.filter(({ body }) => body.includes(`"${model}"`))

  beforeAll(async () => {
    if (!('python' in client)) return
    folder = await mkdtemp(join(tmpdir(), 'openai-python-'))
    upstream = await startUpstream()
    const flags = ['--data', folder, '--port', '0', '--upstream', upstream.url, '--retries', '0']
    plumb = await startPlumb(['serve', '--json', ...flags], { PLUMBLINE_ADMIN_KEY: adminKey })
    url = JSON.parse(plumb.stdout()).url
    const { key } = await api('/api/keys', { scope: 'client' })
    const PYTHONPATH = fileURLToPath(new URL('../../benchmarks', import.meta.url))
    const env = { ...process.env, PYTHONPATH, GATEWAY_URL: url, GATEWAY_KEY: String(key) }
    python = startLineProcess(client.python, [fileURLToPath(new URL('./openai_client.py', import.meta.url))], env)
  }, 120_000)
  afterAll(async () => {
    await python?.close()
    plumb?.process.kill('SIGTERM')
    expect(await plumb?.exited).toBe(0)
    await upstream?.close()
    await rm(folder, { recursive: true, force: true })
  }, 60_000)

  test('chat, both ways: the answer and its record have one id', async () => {
    const whole = await python.call<{ id: string; record: string; content: string }>('chat')
    expect(whole.content).toBe(sentence)
    expect(await recordOf(whole.id)).toMatchObject({ record: whole.record, termination: 'completed', text: sentence })
    const streamed = await python.call<{ id: string }>('chat_stream')
    expect(streamed).toMatchObject({ text: sentence, tool: 'look', arguments: '{"a":1}', tokens: 13 })
    expect(await recordOf(streamed.id)).toMatchObject({ termination: 'completed', stream: true, text: sentence })
  })

  test('tools and structured output go through, there and back', async () => {
    const call = { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"a":1}' } }
    const used = await python.call('tools', piecesOf({ content: null, tool_calls: [call] }))
    expect(used).toMatchObject({ content: null, tool_calls: [call] })
    const sentTool = { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }
    expect(JSON.parse(upstream.requests.at(-1)!.body)).toMatchObject({ tools: [sentTool], tool_choice: 'auto' })
    const city = { name: 'Paris', people: 2_100_000 }
    expect(await python.call('structured', piecesOf({ content: JSON.stringify(city) }))).toEqual({ parsed: city })
    expect(JSON.parse(upstream.requests.at(-1)!.body)).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'City', strict: true } },
    })
  })

  test('completions, responses, embeddings and models', async () => {
    expect(await python.call('completions')).toEqual({ texts: [sentence, sentence] })
    expect(await python.call('responses')).toEqual({ texts: [sentence, sentence, sentence] })
    expect(await python.call('embeddings')).toEqual({ embedding: [0.5, -0.25] })
    expect(await python.call('models')).toEqual({ ids: ['m'], one: 'org/name' })
  })

  test('what is refused, and what fails, is the exception that the client has for it', async () => {
    expect(await failure({ key: 'sk-none' })).toEqual({
      name: 'AuthenticationError',
      status: 401,
      code: 'invalid_api_key',
    })
    const { key: reviewer } = await api('/api/keys', { scope: 'reviewer' })
    expect(await failure({ key: reviewer })).toMatchObject({ name: 'PermissionDeniedError', status: 403 })
    expect(await failure({ path: '/unknown' })).toEqual({ name: 'NotFoundError', status: 404, code: 'unknown_url' })
    expect(await failure({ model: 'json-400' })).toMatchObject({ name: 'BadRequestError', status: 400 })
    expect(await failure({ model: 'json-500' })).toMatchObject({ name: 'InternalServerError', status: 500 })
    expect(await failure({ model: 'resets-in-stream', stream: true })).toEqual({
      name: 'APIError',
      status: null,
      code: 'upstream_reset',
    })
  })

  test('a limit is a RateLimitError; of its own accord the client waits and asks again', async () => {
    const limits = { requests_per_minute: 1 }
    const { key } = await api('/api/keys', { scope: 'client', limits })
    expect(await failure({ key })).toMatchObject({ name: null })
    expect(await failure({ key })).toEqual({ name: 'RateLimitError', status: 429, code: 'rate_limit_exceeded' })
    const before = upstream.requests.length
    upstream.next('json-429-soon')
    const { id } = await python.call<{ id: string }>('retried')
    const [first, second] = upstream.requests.slice(before)
    // The upstream had asked for 400 ms.
    expect(second.at - first.at).toBeGreaterThan(390)
    expect(await recordOf(id)).toMatchObject({ termination: 'completed' })
  })

  const expectStopped = (model: string) =>
    expect.poll(() => ofModel(model).every(({ brokenAt }) => brokenAt !== undefined)).toBe(true)

  test.each(['leave_stream', 'cancel_async_stream'])('a stream that is left stops the upstream: %s', async (leave) => {
    const { id } = await python.call<{ id: string }>(leave, { model: 'stalls-in-stream' })
    expect(await recordOf(id)).toMatchObject({ termination: 'client_abort', status: 200 })
    await expectStopped('stalls-in-stream')
  })

  test('a time-out of the client stops the upstream', async () => {
    expect(await failure({ model: 'silent', timeout: 2 })).toMatchObject({ name: 'APITimeoutError' })
    expect(ofModel('silent')).toHaveLength(1)
    await expectStopped('silent')
  })
})
