import { gzipSync } from 'node:zlib'
import { SpanKind } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { interactionSchema } from '@plumbline/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type TestServer, until } from '../server.test-support.ts'
import { otlpProtobuf } from './otlp-protobuf.ts'
import { readSpan } from './telemetry.ts'

const protobuf = 'application/x-protobuf'

let server: TestServer
let client: string
beforeAll(async () => {
  server = await startServer()
  client = await server.addKey('client')
}, 600_000)
afterAll(() => server?.stop(), 600_000)

/** What the official SDK makes of an answer with an evaluation. */
function chatSpanOf(id: string): ReadableSpan {
  const kept = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: kept })] })
  const said = (role: string, content: string) => JSON.stringify([{ role, parts: [{ type: 'text', content }] }])
  const attributes = {
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': 'm',
    'gen_ai.response.id': id,
    'gen_ai.input.messages': said('user', `wörd 語 ${id}`),
    'gen_ai.output.messages': said('assistant', 'antwort 🙂'),
    'gen_ai.usage.input_tokens': 7,
    'gen_ai.request.temperature': 0.25,
    'gen_ai.response.finish_reasons': ['stop'],
    'user.id': 'anna',
  }
  const span = provider.getTracer('t').startSpan('chat m', {
    kind: SpanKind.CLIENT,
    startTime: [1_790_000_000, 123_456_789],
    attributes,
  })
  span.addEvent('gen_ai.evaluation.result', {
    'gen_ai.evaluation.name': 'Relevance',
    'gen_ai.evaluation.score.value': 0.25,
  })
  span.setStatus({ code: 2, message: 'it broke' })
  span.end([1_790_000_001, 623_456_788])
  return kept.getFinishedSpans()[0]
}

const asProtobuf = (span: ReadableSpan) => Buffer.from(ProtobufTraceSerializer.serializeRequest([span])!)
const asJson = (span: ReadableSpan) => Buffer.from(JsonTraceSerializer.serializeRequest([span])!)

async function post(body: Uint8Array, headers: Record<string, string>) {
  const response = await fetch(`${server.url}/v1/traces`, {
    method: 'POST',
    headers: { authorization: `Bearer ${client}`, ...headers },
    body: new Uint8Array(body),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, type: response.headers.get('content-type'), bytes }
}

/** A field of a message on the wire. */
function field(number: number, ...inner: Uint8Array[]): Buffer {
  const value = Buffer.concat(inner)
  const length: number[] = []
  for (let rest = value.length; length.length === 0 || rest > 0; rest = Math.floor(rest / 128)) {
    length.push(rest >= 128 ? (rest % 128) + 128 : rest)
  }
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), value])
}

/** google.rpc.Status. */
const status = (code: number, message: string) =>
  Buffer.concat([Buffer.from([8, code]), field(2, Buffer.from(message))])

test('the official exporter, gzipped, leaves the record and the feedback that its JSON leaves', async () => {
  const span = chatSpanOf('chatcmpl-otlp')
  const [binary, text] = await Promise.all(
    ['told-in-protobuf', 'told-in-json'].map(async (project) => ({
      client: await server.addKey('client', project),
      admin: await server.addKey('admin', project),
    })),
  )
  const exporter = new OTLPTraceExporter({
    url: `${server.url}/v1/traces`,
    headers: { authorization: `Bearer ${binary.client}` },
    compression: 'gzip' as never,
  })
  const result = await new Promise((resolve) => exporter.export([span], resolve))
  await exporter.shutdown()
  expect(result).toEqual({ code: 0 })
  const sent = await post(gzipSync(asJson(span)), {
    authorization: `Bearer ${text.client}`,
    'content-type': 'application/json; charset=utf-8',
    'content-encoding': 'gzip',
  })
  expect([sent.status, sent.bytes.toString()]).toEqual([200, '{}'])

  const left = async (admin: string) => {
    const found = await until(async () => {
      const { status, body } = await server.send('GET', '/api/interactions/chatcmpl-otlp', undefined, admin)
      return status === 200 ? body : undefined
    })
    const { record, key_id, project, subjects, ...interaction } = interactionSchema.parse(found)
    const said = await until(async () => {
      const { body } = await server.send('GET', `/api/feedback?interaction=${record}`, undefined, admin)
      return (body as { data: { category: string; rating: number }[] }).data[0]
    })
    return { interaction, people: subjects.length, category: said.category, rating: said.rating }
  }
  const fromProtobuf = await left(binary.admin)
  expect(fromProtobuf).toEqual(await left(text.admin))
  expect(fromProtobuf).toMatchObject({
    interaction: {
      text: 'antwort 🙂',
      created_at: '2026-09-21T14:13:20.123Z',
      termination: 'upstream_error',
      error: { message: 'it broke' },
      usage: { prompt_tokens: 7 },
      timings: { total_ms: 1500 },
    },
    people: 1,
    category: 'relevance',
    rating: 0.25,
  })
})

test('digits, ids and enums are those of the JSON; what is not known is skipped', () => {
  const span = chatSpanOf('chatcmpl-digits')
  const unknown = Buffer.concat([field(15, Buffer.from('later')), Buffer.from([0xf8, 0x07, 1])])
  const decoded = otlpProtobuf.decode(Buffer.concat([asProtobuf(span), unknown])) as ReturnType<typeof JSON.parse>
  const [read] = decoded.resourceSpans[0].scopeSpans[0].spans
  expect(read).toMatchObject({
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    startTimeUnixNano: '1790000000123456789',
    endTimeUnixNano: '1790000001623456788',
    status: { code: 2, message: 'it broke' },
  })
  const source = { project: 'p', keyId: 'k', hash: (name: string) => name }
  const [json] = JSON.parse(asJson(span).toString()).resourceSpans[0].scopeSpans[0].spans
  expect(readSpan(read, source)).toEqual(readSpan(json, source))
  // int64 −9007199254740993 in an AnyValue: no double has it.
  const int = Buffer.from([0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff, 0x01])
  const attribute = field(9, field(1, Buffer.from('n')), field(2, int))
  const digits = otlpProtobuf.decode(field(1, field(2, field(2, attribute)))) as typeof decoded
  expect(digits.resourceSpans[0].scopeSpans[0].spans[0].attributes).toEqual([
    { key: 'n', value: { intValue: '-9007199254740993' } },
  ])
})

test('spans left out are told in the encoding of the request', async () => {
  const spans = field(1, field(2, field(2, field(1, Buffer.alloc(15, 1))), field(2)))
  const { status, type, bytes } = await post(spans, { 'content-type': protobuf })
  expect([status, type]).toEqual([200, protobuf])
  const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(bytes)
  expect(Number(partialSuccess?.rejectedSpans)).toBe(2)
  expect(partialSuccess?.errorMessage).toMatch(/left out/)
  expect(await post(Buffer.alloc(0), { 'content-type': protobuf })).toMatchObject({
    status: 200,
    bytes: Buffer.alloc(0),
  })
})

describe('bad input', () => {
  const refusal = async (body: Uint8Array, headers: Record<string, string> = {}) => {
    const { status, type, bytes } = await post(body, { 'content-type': protobuf, ...headers })
    return { status, type, text: bytes.toString('utf8') }
  }
  const refused = (httpStatus: number, code: string) => ({
    status: httpStatus,
    type: protobuf,
    text: expect.stringContaining(`${code}: `),
  })
  const gzip = { 'content-encoding': 'gzip' }

  test('protobuf that is cut short, is something else, or holds broken text', async () => {
    const whole = asProtobuf(chatSpanOf('chatcmpl-cut'))
    const message = 'invalid_protobuf: The request body is no ExportTraceServiceRequest in protobuf, or is cut short.'
    const { bytes } = await post(whole.subarray(0, whole.length / 2), { 'content-type': protobuf })
    expect(bytes).toEqual(status(3, message))
    const notUtf8 = field(1, field(2, field(2, field(9, field(1, Buffer.from([0xff, 0xfe]))))))
    for (const broken of [whole.subarray(0, -1), Buffer.from('{"resourceSpans":[]}'), Buffer.from([0xff]), notUtf8]) {
      expect(await refusal(broken)).toEqual(refused(400, 'invalid_protobuf'))
    }
  })

  test('nested too deep, too many messages', async () => {
    let value = field(1, Buffer.from('x'))
    for (let i = 0; i < 100; i++) value = field(5, field(1, value))
    const deep = field(1, field(2, field(2, field(9, field(2, value)))))
    expect(await refusal(deep)).toEqual(refused(400, 'nested_too_deep'))
    const many = field(1, field(2, Buffer.alloc(2_000_000, field(2))))
    expect(await refusal(many)).toEqual(refused(413, 'request_too_large'))
    const scope = field(2, Buffer.alloc(2 * 1000, field(2)))
    const spans = Buffer.concat(new Array<Buffer>(6).fill(Buffer.from(field(1, scope))))
    expect(await refusal(spans)).toEqual(refused(413, 'request_too_large'))
  })

  test('JSON that is odd where text belongs, and lists without end', async () => {
    const send = async (body: unknown) =>
      (await post(Buffer.from(JSON.stringify(body)), { 'content-type': 'application/json' })).status
    const odd = { toString: 1 }
    const span = {
      traceId: '01'.repeat(16),
      spanId: '02'.repeat(8),
      startTimeUnixNano: '1',
      endTimeUnixNano: '2',
      attributes: [
        { key: odd },
        { key: 'gen_ai.operation.name', value: { kvlistValue: { values: [{ key: 'toString' }] } } },
        { key: 'n', value: { intValue: odd } },
      ],
    }
    expect(await send({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] })).toBe(200)
    expect(await send({ resourceSpans: [{ scopeSpans: new Array(200_000).fill(0) }] })).toBe(400)
  })

  test('gzip that is none, is cut short, or a bomb, in both encodings', async () => {
    const zipped = gzipSync(asProtobuf(chatSpanOf('chatcmpl-zip')))
    expect(await refusal(Buffer.from('no gzip'), gzip)).toEqual(refused(400, 'invalid_gzip'))
    expect(await refusal(zipped.subarray(0, -9), gzip)).toEqual(refused(400, 'invalid_gzip'))
    const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20))
    expect(bomb.length).toBeLessThan(100_000)
    expect(await refusal(bomb, gzip)).toEqual(refused(413, 'request_too_large'))
    const json = await refusal(bomb, { ...gzip, 'content-type': 'application/json' })
    expect(json).toMatchObject({ status: 413, type: 'application/json', text: expect.stringContaining('too_large') })
    expect(await refusal(zipped, { 'content-encoding': 'br' })).toEqual(refused(415, 'unsupported_encoding'))
  })

  test('no good key is told in protobuf; another content type, which are taken', async () => {
    expect(await refusal(Buffer.alloc(0), { authorization: 'Bearer x' })).toEqual(refused(401, 'invalid_api_key'))
    const other = await refusal(Buffer.from('{}'), { 'content-type': 'text/plain' })
    expect([other.status, JSON.parse(other.text).error]).toMatchObject([
      415,
      {
        code: 'unsupported_media_type',
        message: 'The request body must be application/json or application/x-protobuf (content-type).',
      },
    ])
  })
})
