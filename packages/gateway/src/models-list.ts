import type { IncomingHttpHeaders } from 'node:http'
import { asArray, asObject, type Json } from './answer.ts'
import { readCapped } from './capped-body.ts'
import { RequestError } from './openai-error.ts'
import type { Policies } from './policies.ts'
import type { Upstream } from './upstream.ts'

const maxBytes = 2 ** 20
const patienceMs = 10_000

/**
 * The models of several upstreams as one list: those that the configuration names, and what the others say. An upstream
 * that does not answer is left out; throws when none does.
 */
export async function listModels(policies: Policies, client: IncomingHttpHeaders, record: string): Promise<Json[]> {
  const lists = await Promise.allSettled(
    policies.routes.map(({ upstream, models }) =>
      models === undefined
        ? askForModels(upstream, client, record)
        : models.map((id) => ({ id, object: 'model', created: 0, owned_by: upstream.name })),
    ),
  )
  const found = lists.filter((list) => list.status === 'fulfilled').flatMap(({ value }) => value)
  if (lists.every(({ status }) => status === 'rejected')) {
    throw new RequestError(502, 'upstream_unreachable', 'No upstream tells its models.')
  }
  return [...new Map(found.map((model) => [model.id, model])).values()]
}

async function askForModels(upstream: Upstream, client: IncomingHttpHeaders, record: string): Promise<Json[]> {
  const { statusCode, body } = await upstream.pool.request({
    method: 'GET',
    path: upstream.path('/v1/models'),
    headers: upstream.headers(client, record),
    signal: AbortSignal.timeout(patienceMs),
  })
  const text = await readCapped(body, maxBytes, 'too large')
  if (statusCode !== 200) throw new Error(`status ${statusCode}`)
  const { data } = asObject(JSON.parse(text))
  return asArray(data)
    .map(asObject)
    .filter(({ id }) => typeof id === 'string')
}
