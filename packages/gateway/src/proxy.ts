import type { IncomingMessage, ServerResponse } from 'node:http'
import type { GuardVerdict } from '@plumbline/contracts'
import type { StoredKey, SubjectHasher } from '@plumbline/store'
import { asObject } from './answer.ts'
import { canCompare, candidatesBody } from './best-of.ts'
import { createBodyMemory } from './body-memory.ts'
import type { EndpointPath } from './endpoints.ts'
import { Exchange, type ExchangeRequest, type RecordOutcome } from './exchange.ts'
import type { FeedbackTokens } from './feedback-token.ts'
import { Guarding } from './guards/guarding.ts'
import { refusedOutcome, refusedReply } from './guards/refused-request.ts'
import { readConversation } from './guards/shapes/conversation.ts'
import { findMisspelt } from './guards/shapes/request-fields.ts'
import { allow } from './http-edge.ts'
import { uuidv7 } from './ids.ts'
import { LateRecords } from './late-records.ts'
import type { Limiter } from './limiter.ts'
import type { Metrics } from './metrics.ts'
import { listModels } from './models-list.ts'
import { RequestError, sendJson, sendReply } from './openai-error.ts'
import type { Outcome } from './outcome.ts'
import { Passage } from './passage.ts'
import type { Policies, PolicyBook } from './policies.ts'
import type { PursuitWorld } from './pursuit.ts'
import type { Recorder } from './recorder.ts'
import { parseObject, readBody } from './request-body.ts'
import { serves } from './route.ts'
import { concealNames, subjectsOf } from './subjects.ts'
import { guessTokens, usedTokens } from './tokens.ts'
import { withOwnHeaders } from './upstream.ts'

export interface ProxyParts {
  readonly policies: PolicyBook
  readonly limiter: Limiter
  readonly feedback: FeedbackTokens
  readonly recorder: Recorder
  readonly metrics: Metrics
  readonly hashSubject: SubjectHasher
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
}

/** Sends requests on to the upstreams. */
export interface Proxy {
  /** A request for an answer of the model: limited, and recorded. */
  complete(req: IncomingMessage, res: ServerResponse, path: EndpointPath, key: StoredKey): Promise<void>
  /** The list of models, or one of it: no answer of a model, so not recorded. */
  models(req: IncomingMessage, res: ServerResponse, path: string): Promise<void>
  readonly underWay: ReadonlySet<Passage>
  /** Records of answers that are given. */
  readonly lateRecords: LateRecords
}

/** Bodies of the largest size that there may be at a time: smaller ones may be as many as fit. */
const largestBodies = 32

export function createProxy(parts: ProxyParts, isDraining: () => boolean): Proxy {
  const { metrics } = parts
  const underWay = new Set<Passage>()
  const maxBodies = () => largestBodies * parts.policies.current.maxBodyBytes
  // The other half is for traffic, whatever guards that only observe take.
  const lateRecords = new LateRecords(() => maxBodies() / 2)
  const openBodyMemory = createBodyMemory(maxBodies)
  const world: PursuitWorld = {
    now: parts.now,
    random: parts.random,
    onRetry: (upstream, why) => metrics.count('plumbline_retries_total', { upstream, why }),
    onNoBudget: () => metrics.count('plumbline_retry_budget_exhausted_total', {}),
  }

  const admit = () => {
    if (isDraining() || underWay.size >= parts.policies.current.maxInFlight) {
      const message = isDraining() ? 'The gateway is shutting down.' : 'Too many answers are in flight.'
      throw new RequestError(503, 'overloaded', message, { headers: { 'retry-after': '1' } })
    }
  }

  /** From the first guard to the last byte a request has its place, and the configuration with which it began. */
  const enter = async (work: (passage: Passage, policies: Policies) => Promise<void>) => {
    admit()
    const policies = parts.policies.current
    const leave = policies.enter()
    const passage = new Passage()
    underWay.add(passage)
    try {
      await work(passage, policies)
    } finally {
      leave()
      underWay.delete(passage)
      passage.end()
    }
  }

  const exchange = async (
    policies: Policies,
    request: ExchangeRequest,
    res: ServerResponse,
    passage: Passage,
    record: RecordOutcome,
  ) => {
    const begun = new Exchange(policies, request, res, world, record)
    passage.onCut(() => begun.cut())
    await begun.done
  }

  const count = (endpoint: string, { status, termination, timings, guards, best_of: bestOf }: Outcome) => {
    if (bestOf !== undefined) {
      metrics.count('plumbline_best_of_total', { scored: bestOf.rewards.length > 0 ? 'yes' : 'no' })
    }
    for (const { name, direction, mode, outcome, error } of guards) {
      const failed = error === null ? 'no' : 'yes'
      metrics.count('plumbline_guard_verdicts_total', { guard: name, direction, mode, outcome, failed })
    }
    metrics.count('plumbline_answers_total', { endpoint, status: String(status), termination })
    metrics.observe('plumbline_answer_seconds', timings.total_ms / 1000)
    if (timings.first_token_ms !== null) metrics.observe('plumbline_first_token_seconds', timings.first_token_ms / 1000)
  }

  return {
    underWay,
    lateRecords,

    complete: async (req, res, path, key) => {
      allow(req, 'POST')
      admit()
      const permit = parts.limiter.admit(key, parts.policies.current.keyLimits)
      const memory = openBodyMemory()
      let used = 0
      let isBodyNeeded = false
      try {
        const sent = await readBody(req, parts.policies.current.maxBodyBytes, { onBytes: memory.take })
        const json = parseObject(sent)
        checkSpelling(json)
        await enter(async (passage, policies) => {
          const bestOf = canCompare(path, json) ? policies.bestOf : undefined
          const asked = bestOf === undefined ? json : { ...json, n: bestOf.candidates }
          permit.reserveTokens(guessTokens(path, asked, sent.length))
          const createdAt = parts.now()
          const deadline = performance.now() + policies.totalMs
          const record = uuidv7(createdAt)
          const model = typeof json.model === 'string' ? json.model : undefined
          checkModel(policies, model)
          // Before the guards, which may take names out.
          const subjects = subjectsOf(parts.hashSubject, key.project, json)
          const guarding = policies.guards === undefined ? undefined : new Guarding(policies.guards, path)
          const admitted =
            guarding === undefined
              ? undefined
              : await passage.orEnd(guarding.admit(json), () => guarding.cut(), { res, ms: policies.totalMs })
          const body = admitted?.body ?? sent
          const isStream = json.stream === true
          const withUsage = asObject(json.stream_options).include_usage === true
          const request: ExchangeRequest = {
            method: 'POST',
            path,
            endpoint: path,
            model,
            headers: req.headers,
            body: bestOf === undefined ? body : candidatesBody(json, bestOf.candidates),
            isStream,
            withUsage,
            record,
            deadline,
            ownHeaders: {
              'x-request-id': record,
              'x-plumbline-feedback': parts.feedback.sign(record, key.project),
              ...permit.headers(),
            },
            guarding,
            bestOf: bestOf && { ...bestOf, conversation: readConversation(json) ?? [], isStream, withUsage },
          }
          const write = async (outcome: Outcome) => {
            count(path, outcome)
            const facts = {
              record,
              project: key.project,
              key_id: key.id,
              created_at: new Date(createdAt).toISOString(),
              endpoint: path,
              config: policies.version,
              request_model: model?.slice(0, 512) ?? null,
              stream: isStream,
              request_bytes: sent.length,
              subjects,
              redaction: null,
            }
            await parts.recorder.record(facts, outcome, concealNames(parts.hashSubject, key.project, json, body))
          }
          const recordOutcome: RecordOutcome = (outcome, verdicts) => {
            used = usedTokens(outcome, sent.length)
            if (verdicts === undefined) return write(outcome)
            isBodyNeeded = true
            const writeWith = (guards?: GuardVerdict[]) => write(withVerdicts(outcome, guards)).finally(memory.free)
            return lateRecords.write(verdicts, writeWith, sent.length)
          }
          if (guarding !== undefined && admitted?.refused !== undefined) {
            const { ownHeaders } = request
            const refused = {
              record,
              endpoint: path,
              model: model?.slice(0, 512) ?? '',
              isStream,
              withUsage,
              createdAt,
            }
            const reply = refusedReply(admitted.refused, refused)
            await recordOutcome(refusedOutcome(admitted.refused, refused, reply, []), guarding.verdicts([]))
            sendReply(res, { ...reply, headers: withOwnHeaders(reply.headers ?? {}, ownHeaders) })
            return
          }
          // Nobody waits any more.
          if (!res.destroyed) await exchange(policies, request, res, passage, recordOutcome)
        })
      } finally {
        permit.end(used)
        if (!isBodyNeeded) memory.free()
      }
    },

    models: async (req, res, path) => {
      allow(req, 'GET')
      req.resume()
      await enter(async (passage, policies) => {
        const record = uuidv7(parts.now())
        const ownHeaders = { 'x-request-id': record }
        const isList = path === '/v1/models'
        const isOnlyOne = policies.routes.length === 1 && policies.routes[0].models === undefined
        if (isList && !isOnlyOne) {
          const data = await listModels(policies, req.headers, record)
          sendJson(res, 200, { object: 'list', data }, ownHeaders)
          return
        }
        const model = isList ? undefined : decodeURIComponent(path.slice('/v1/models/'.length))
        checkModel(policies, model)
        const asked = {
          method: 'GET',
          path,
          endpoint: undefined,
          model,
          headers: req.headers,
          body: undefined,
        } as const
        const deadline = performance.now() + policies.totalMs
        const request = { ...asked, isStream: false, withUsage: false, record, deadline, ownHeaders }
        await exchange(policies, request, res, passage, async (outcome) => count('/v1/models', outcome))
      })
    },
  }
}

function withVerdicts(outcome: Outcome, guards: GuardVerdict[] | undefined): Outcome {
  if (guards !== undefined) return { ...outcome, guards }
  return { ...outcome, notes: [...outcome.notes, 'what the guards said, as not all of them had spoken in time'] }
}

/** An upstream that takes "Model" for "model" would answer another request than the one that is routed and recorded. */
function checkSpelling(json: object): void {
  const param = findMisspelt(json)
  if (param === undefined) return
  const message = `The field ${JSON.stringify(param)} differs from a known one by its case alone.`
  throw new RequestError(400, 'unknown_field', message, { param })
}

function checkModel({ routes }: Policies, model: string | undefined): void {
  if (routes.some((route) => serves(route, model))) return
  throw new RequestError(404, 'model_not_found', 'No upstream has this model.', { param: 'model' })
}
