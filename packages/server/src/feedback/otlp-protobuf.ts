import { type BodyFormat, RequestError } from '@plumbline/gateway'
import protobuf from 'protobufjs/light.js'

/**
 * The part of OTLP 1.10 (opentelemetry/proto, google/rpc/status.proto) that is read or written here, by the names of its
 * JSON: field → [number, type, repeated]. Other fields are skipped.
 */
const messages = {
  ExportTraceServiceRequest: { resourceSpans: [1, 'ResourceSpans', 'repeated'] },
  ResourceSpans: { scopeSpans: [2, 'ScopeSpans', 'repeated'] },
  ScopeSpans: { spans: [2, 'Span', 'repeated'] },
  Span: {
    traceId: [1, 'bytes'],
    spanId: [2, 'bytes'],
    startTimeUnixNano: [7, 'fixed64'],
    endTimeUnixNano: [8, 'fixed64'],
    attributes: [9, 'KeyValue', 'repeated'],
    events: [11, 'Event', 'repeated'],
    status: [15, 'SpanStatus'],
  },
  Event: { timeUnixNano: [1, 'fixed64'], name: [2, 'string'], attributes: [3, 'KeyValue', 'repeated'] },
  SpanStatus: { message: [2, 'string'], code: [3, 'int32'] },
  KeyValue: { key: [1, 'string'], value: [2, 'AnyValue'] },
  AnyValue: {
    stringValue: [1, 'string'],
    boolValue: [2, 'bool'],
    intValue: [3, 'int64'],
    doubleValue: [4, 'double'],
    arrayValue: [5, 'ArrayValue'],
    kvlistValue: [6, 'KeyValueList'],
    bytesValue: [7, 'bytes'],
  },
  ArrayValue: { values: [1, 'AnyValue', 'repeated'] },
  KeyValueList: { values: [1, 'KeyValue', 'repeated'] },
  ExportTraceServiceResponse: { partialSuccess: [1, 'ExportTracePartialSuccess'] },
  ExportTracePartialSuccess: { rejectedSpans: [1, 'int64'], errorMessage: [2, 'string'] },
  Status: { code: [1, 'int32'], message: [2, 'string'] },
} satisfies Record<string, Record<string, [number, string, 'repeated'?]>>

const root = describe()
const requestType = root.lookupType('ExportTraceServiceRequest')
const responseType = root.lookupType('ExportTraceServiceResponse')
const statusType = root.lookupType('Status')

/** JSON's 128 levels are about as many messages, each of which takes an object and a list there. */
const maxDepth = 64
/** An empty message takes two bytes, and a hundred times that in memory. A batch of 512 spans has some 20,000. */
const maxMessages = 200_000

/** OTLP in its binary form: read into what its JSON has, so that everything after is the same for both. */
export const otlpProtobuf: BodyFormat = {
  contentType: 'application/x-protobuf',
  decode(body) {
    try {
      checkSize(body)
      return withHexIds(requestType.toObject(requestType.decode(body), { longs: String }))
    } catch (error) {
      if (error instanceof RequestError) throw error
      const message = 'The request body is no ExportTraceServiceRequest in protobuf, or is cut short.'
      throw new RequestError(400, 'invalid_protobuf', message)
    }
  },
  encode: (answer) => responseType.encode(responseType.fromObject(answer as object)).finish(),
  encodeError({ status, body: { code, message } }) {
    return statusType
      .encode({ code: rpcCodes[status] ?? (status < 500 ? 3 : 13), message: `${code}: ${message}` })
      .finish()
  },
}

/** google.rpc.Code of an HTTP status; INVALID_ARGUMENT and INTERNAL for the others. */
const rpcCodes: Readonly<Record<number, number>> = { 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 429: 8, 503: 14 }

/** Goes through the messages before any is made. */
function checkSize(body: Buffer): void {
  const reader = protobuf.Reader.create(body)
  let count = 0
  const walk = (type: protobuf.Type, end: number, depth: number): void => {
    if (depth > maxDepth) {
      throw new RequestError(400, 'nested_too_deep', `The request body is nested deeper than ${maxDepth} messages.`)
    }
    if (++count > maxMessages) {
      throw new RequestError(413, 'request_too_large', `The request body has more than ${maxMessages} messages.`)
    }
    while (reader.pos < end) {
      const tag = reader.uint32()
      const inner = type.fieldsById[tag >>> 3]?.resolvedType
      if ((tag & 7) === 2 && inner instanceof protobuf.Type) walk(inner, reader.uint32() + reader.pos, depth + 1)
      else reader.skipType(tag & 7)
    }
  }
  walk(requestType, body.length, 1)
}

interface Spans {
  readonly resourceSpans?: readonly { readonly scopeSpans?: readonly { readonly spans?: readonly SpanIds[] }[] }[]
}
interface SpanIds {
  traceId?: unknown
  spanId?: unknown
}

function withHexIds(request: Spans): Spans {
  for (const { scopeSpans = [] } of request.resourceSpans ?? []) {
    for (const span of scopeSpans.flatMap(({ spans = [] }) => spans)) {
      span.traceId = hex(span.traceId)
      span.spanId = hex(span.spanId)
    }
  }
  return request
}

function hex(bytes: unknown): string {
  return bytes instanceof Uint8Array ? Buffer.from(bytes).toString('hex') : ''
}

function describe(): protobuf.Root {
  const nested: Record<string, protobuf.IType> = {}
  for (const [name, fields] of Object.entries(messages)) {
    const described: Record<string, protobuf.IField> = {}
    for (const [field, [id, type, rule]] of Object.entries(fields as Record<string, [number, string, 'repeated'?]>)) {
      described[field] = { id, type, ...(rule && { rule }) }
    }
    const value = { oneof: Object.keys(described) }
    nested[name] = { fields: described, ...(name === 'AnyValue' && { oneofs: { value } }) }
  }
  return protobuf.Root.fromJSON({ nested })
}
