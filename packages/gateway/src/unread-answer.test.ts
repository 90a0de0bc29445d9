import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, type OpenGateway, startHarness } from './gateway.test-support.ts'
import { openGuardWorld } from './guards/guard-world.ts'
import { readGuards } from './guards/read-guards.ts'
import { eventsOf, sentence } from './upstream-server.test-support.ts'

const acting = () =>
  readGuards(
    [{ kind: 'rules', mode: 'block', direction: 'output', keywords: ['nothing of this kind'] }],
    openGuardWorld({}),
  )

let harness: Harness
let gateway: OpenGateway
beforeAll(async () => {
  harness = await startHarness()
  gateway = await harness.open({ guards: acting() })
})
afterAll(() => harness.close())

const questions = {
  '/v1/chat/completions': { messages: [{ role: 'user', content: 'capital?' }] },
  '/v1/completions': { prompt: 'capital?' },
  '/v1/responses': { input: 'capital?' },
}
type Path = keyof typeof questions
const paths = Object.keys(questions) as Path[]

/** What a client gets, and the record says, when the upstream sends this. */
async function answerTo(
  path: Path,
  stream: boolean,
  sent: string,
  { through = gateway, model = 'pieces' }: { through?: OpenGateway; model?: string } = {},
) {
  const pieces = sent === '' ? [] : [Buffer.from(sent).toString('base64')]
  const body = { model, stream, pieces, ...questions[path] }
  const response = await through.post(path, JSON.stringify(body))
  const text = await response.text()
  const record = await harness.recordOf((one) => one.record === response.headers.get('x-request-id'))
  return { status: response.status, text, termination: record.termination, recorded: record.text }
}

const refused = { status: 502, termination: 'upstream_invalid', text: expect.stringContaining('upstream_invalid') }
const beginning = (path: Path) => eventsOf(path, { model: 'm' }, 'half').slice(0, 4).join('')

describe.each(paths)('%s', (path) => {
  test.each([
    [false, 'JSON that is no answer', '{"foo":"bar secret text"}'],
    [false, 'JSON with two fields of one name', '{"id":"secret","id":"a","choices":[],"output":[]}'],
    [
      true,
      'an event with two fields of one name',
      'data: {"id":"secret","id":"a","choices":[],"type":"response.queued","response":{}}\n\n',
    ],
    [true, 'an event that is no answer', 'data: {"foo":"bar secret text"}\n\ndata: [DONE]\n\n'],
    [true, 'an event that is no answer, and no end mark', 'data: {"foo":"bar secret text"}\n\n'],
    [true, 'an event that is no JSON', 'data: <html>secret</html>\n\n'],
    [true, 'lines that are no events', '<html>secret</html>\n\n: wait\n\n'],
    [true, 'half an event alone', 'data: {"foo":"bar sec'],
    [true, 'nothing', ''],
  ])('where nothing has gone out, it is refused (stream: %s): %s', async (stream, _, sent) => {
    const answer = await answerTo(path, stream, sent)
    expect(answer).toMatchObject(refused)
    expect(answer.text).not.toContain('secret')
  })

  test.each([
    ['no answer', 'data: {"foo":"bar secret text"}\n\n'],
    ['no JSON', 'data: <html>secret</html>\n\n'],
  ])('an event that is %s ends a stream that has begun with an error event and no end mark', async (_, sent) => {
    const answer = await answerTo(path, true, beginning(path) + sent)
    expect(answer).toMatchObject({ status: 200, termination: 'upstream_invalid' })
    expect(answer.text).toMatch(/The .*event: error\ndata: [^\n]*upstream_invalid[^\n]*\n\n$/s)
    expect(answer.text).not.toMatch(/secret|\[DONE\]/)
  })

  test.each([
    ['inside an event', 'data: {"id":"half","cho'],
    ['between events', ''],
  ])('a stream that breaks off %s gives what came, then an error event and no end mark', async (_, sent) => {
    const answer = await answerTo(path, true, beginning(path) + sent)
    expect(answer).toMatchObject({ status: 200, termination: 'upstream_incomplete' })
    expect(answer.text).toMatch(/capital .*event: error\ndata: [^\n]*upstream_incomplete[^\n]*\n\n$/s)
    expect(answer.text).not.toContain('[DONE]')
    expect(sentence).toContain(answer.recorded)
  })

  test('what the official client gets', async () => {
    const { client } = gateway
    const streams = {
      '/v1/chat/completions': async (body: object) => client.chat.completions.create(body as never),
      '/v1/completions': async (body: object) => client.completions.create(body as never),
      '/v1/responses': async (body: object) => client.responses.create(body as never),
    }
    const pieces = [Buffer.from(`${beginning(path)}data: {"id":"half","cho`).toString('base64')]
    const stream = await streams[path]({ model: 'pieces', stream: true, pieces, ...questions[path] })
    let events = 0
    const read = async () => {
      for await (const _ of stream as unknown as AsyncIterable<unknown>) events++
    }
    await expect(read()).rejects.toMatchObject({ code: 'upstream_incomplete' })
    expect(events).toBe(4)
  })
})

test('what was held back for guards is given before the error event', async () => {
  const guards = [{ kind: 'prompt-injection', mode: 'block', direction: 'output' }]
  const holding = await harness.open({ guards: readGuards(guards, openGuardWorld({})) })
  const path = '/v1/completions'
  const answer = await answerTo(path, true, `${beginning(path)}data: {"id":"half","cho`, { through: holding })
  expect(answer).toMatchObject({ status: 200, termination: 'upstream_incomplete' })
  expect(answer.text).toMatch(/capital .*event: error\ndata: [^\n]*upstream_incomplete[^\n]*\n\n$/s)
})

test('a stream that goes on as no HTTP ends with an error event too', async () => {
  const path = '/v1/completions'
  const answer = await answerTo(path, true, beginning(path), { model: 'pieces-then-no-http' })
  expect(answer).toMatchObject({ status: 200, termination: 'upstream_invalid' })
  expect(answer.text).toMatch(/capital .*event: error\ndata: [^\n]*upstream_invalid[^\n]*\n\n$/s)
})

test('where guards leave nothing of a stream that breaks off, the client gets an error', async () => {
  const sent = 'data: {"type":"response.output_text.annotation.added","annotation":{"title":"secret"}}\n\n'
  const answer = await answerTo('/v1/responses', true, sent)
  expect(answer).toMatchObject({ status: 502, termination: 'upstream_incomplete' })
  expect(JSON.parse(answer.text).error).toMatchObject({
    code: 'upstream_incomplete',
    message: expect.stringContaining('before it was whole'),
  })
})

test('the fallback answer stands in for an answer that cannot be read', async () => {
  const falling = await harness.open({ fallbackAnswer: 'Later.', guards: acting() })
  for (const [stream, sent] of [
    [false, '{"foo":"bar secret text"}'],
    [true, '<html>secret</html>\n\n'],
  ] as const) {
    const answer = await answerTo('/v1/chat/completions', stream, sent, { through: falling })
    expect(answer).toMatchObject({
      status: 200,
      termination: 'fallback_answer',
      text: expect.stringContaining('Later.'),
    })
  }
})

test('embeddings, models and errors pass as before', async () => {
  const embedded = await gateway.post('/v1/embeddings', JSON.stringify({ model: 'm', input: 'x' }))
  expect([embedded.status, (await embedded.json()).data.length]).toEqual([200, 1])
  const models = await gateway.get('/v1/models', harness.clientKey)
  expect([models.status, (await models.json()).data[0].id]).toEqual([200, 'm'])
  const error = '{"error":{"message":"no secret","type":"server_error","code":"oom"}}'
  for (const [stream, sent] of [
    [false, error],
    [true, `data: ${error}\n\n`],
  ] as const) {
    const answer = await answerTo('/v1/chat/completions', stream, sent)
    expect(answer).toMatchObject({ status: 200, termination: 'upstream_error', text: expect.stringContaining('oom') })
    expect(answer.text).not.toContain('secret')
  }
})
