import { z } from 'zod'
import { type EndpointPath, endpoints } from '../endpoints.ts'
import { completionBodies } from './completion-bodies.ts'
import type { Route } from './route.ts'

type Json = Record<string, unknown>

/** Paths that anybody may read who reaches the port. */
export const publicPaths = {
  '/healthz': 'Alive',
  '/readyz': 'Taking requests; the state of records and store. 503 while shutting down',
  '/metrics': 'Prometheus',
  '/openapi.json': 'This document',
} as const
export type PublicPath = keyof typeof publicPaths

const errorResponse = (description: string) => ({
  description,
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
})

/** What this server takes and answers, as OpenAPI 3.1; made from what the server itself goes by. */
export function openApiDocument(version: string, routes: readonly Route[]): Json {
  const schemas: Json = {
    Error: {
      type: 'object',
      required: ['error'],
      properties: {
        error: {
          type: 'object',
          required: ['message', 'type', 'code', 'param'],
          properties: {
            message: { type: 'string' },
            type: { type: 'string' },
            code: { type: ['string', 'null'] },
            param: { type: ['string', 'null'] },
          },
        },
      },
    },
  }
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const operation = describe(route, (name, schema) => {
      schemas[name] = schema
    })
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation }
  }
  for (const path of Object.keys(endpoints)) paths[path] = { post: completion(path as EndpointPath) }
  paths['/v1/models'] = { get: passedOn('Models of the upstream', []) }
  paths['/v1/models/{model}'] = { get: passedOn('One model of the upstream', ['model']) }
  for (const [path, summary] of Object.entries(publicPaths)) {
    paths[path] = { get: { summary, security: [], responses: { 200: { description: 'As it is' } } } }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Plumbline', version },
    paths,
    components: {
      schemas,
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'plumbline_session' },
      },
    },
  }
}

function describe(route: Route, addSchema: (name: string, schema: Json) => void): Json {
  const name = operationId(route)
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')]
  if (route.method !== 'GET' && route.needsKey !== true) {
    parameters.push({
      name: 'x-csrf-token',
      in: 'header',
      required: false,
      description: 'Needed with a session, not with a key',
      schema: { type: 'string' },
    })
  }
  addSchema(name, jsonSchema(route.response, 'output', name, addSchema))
  const body = route.body && {
    required: true,
    content: inFormats(route, jsonSchema(route.body, 'input', `${name}Body`, addSchema)),
  }
  return {
    operationId: name,
    summary: route.summary,
    description: `Scopes: ${route.scopes.join(', ')}.`,
    security: securityOf(route),
    parameters,
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      [route.status ?? 200]: {
        description: 'Done',
        content: inFormats(route, { $ref: `#/components/schemas/${name}` }),
      },
      ...refusalsOf(route),
    },
  }
}

/** What is no JSON has no schema here. */
function inFormats({ formats = [] }: Route, schema: Json): Json {
  const others = formats.map(({ contentType }) => [contentType, {}])
  return { 'application/json': { schema }, ...Object.fromEntries(others) }
}

/** An empty requirement: what else lets a request in stands in the summary. */
function securityOf({ needsKey, isOpen }: Route): Json[] {
  if (needsKey === true) return [{ key: [] }]
  return [{ key: [] }, { session: [] }, ...(isOpen === true ? [{}] : [])]
}

/** `GET /api/keys/{id}` → `getKeysId`. */
function operationId({ method, path }: Route): string {
  const words = path.replace('/api/', '').split(/\W+/).filter(Boolean)
  return method.toLowerCase() + words.map((word) => word[0].toUpperCase() + word.slice(1)).join('')
}

function refusalsOf({ body, refusals }: Route): Json {
  const ofBody = { 413: 'the body is too large', 415: 'the body is encoded, or of a type, as is not taken here' }
  const ofAll = {
    400: 'a parameter or the body is not right',
    401: 'no good key or session',
    403: 'the scope does not open this, or the CSRF token is missing',
    408: 'the request did not come in time',
    431: 'too many or too large headers',
    503: 'the store does not answer',
  }
  const all: Record<string, string> = Object.assign(ofAll, body && ofBody, refusals)
  return Object.fromEntries(Object.entries(all).map(([status, text]) => [status, errorResponse(text)]))
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }))
}

/** zod's definitions of recursive parts move to where references of an OpenAPI document look for them. */
function jsonSchema(
  schema: z.ZodType,
  io: 'input' | 'output',
  name: string,
  addSchema: (name: string, schema: Json) => void,
): Json {
  const { $schema, $defs = {}, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  const moved = (value: unknown) =>
    JSON.parse(JSON.stringify(value).replaceAll('#/$defs/', `#/components/schemas/${name}`)) as Json
  for (const [part, definition] of Object.entries($defs)) addSchema(`${name}${part}`, moved(definition))
  return moved(rest)
}

const passedOnResponses = {
  default: { description: 'What the upstream answers; errors, the gateway’s too, have OpenAI’s shape' },
}

function completion(path: EndpointPath): Json {
  return {
    summary: `OpenAI’s ${path}, sent on to the upstream and recorded`,
    description: 'Scopes: client, admin.',
    security: [{ key: [] }],
    requestBody: {
      required: true,
      content: {
        'application/json': {
          schema: { type: 'object', properties: { model: { type: 'string' }, ...completionBodies[path] } },
        },
      },
    },
    responses: passedOnResponses,
  }
}

function passedOn(summary: string, names: readonly string[]): Json {
  return {
    summary,
    description: 'Scopes: client, admin.',
    security: [{ key: [] }],
    parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    responses: passedOnResponses,
  }
}
