import { z } from 'zod'

/** How an answer ended, whatever its HTTP status says: an upstream that dies in a stream has said 200 before. */
export const terminationSchema = z.enum([
  /** The upstream said all it had to say. */
  'completed',
  /** The upstream answered with an error: a status of 400 or more, or an error inside a 200. */
  'upstream_error',
  /** Every upstream for this model is left alone just now, as it failed too often. */
  'no_upstream',
  /** No upstream gave an answer, so the client was given the fallback answer of the configuration. */
  'fallback_answer',
  /** No connection to the upstream. */
  'upstream_unreachable',
  /** A guard refused the request: the upstream was not asked. */
  'input_blocked',
  /** The connection broke in the middle of an answer. */
  'upstream_reset',
  /** The answer ended in good order, but before its own end mark. */
  'upstream_incomplete',
  /** What came is no answer of this endpoint. */
  'upstream_invalid',
  'timeout_connect',
  'timeout_first_token',
  'timeout_idle',
  'timeout_total',
  /** The client went away before the answer was whole. */
  'client_abort',
  /** The client kept its connection and did not read. */
  'client_stalled',
  /** The gateway was stopped and could not wait any longer. */
  'shutdown',
])
export type Termination = z.infer<typeof terminationSchema>

export const toolCallSchema = z.object({
  id: z.string().nullable(),
  name: z.string().nullable(),
  arguments: z.string(),
})

/** One choice of an answer, put together from its stream. */
export const choiceSchema = z.object({
  index: z.number().int().min(0),
  text: z.string(),
  reasoning: z.string(),
  refusal: z.string(),
  tool_calls: z.array(toolCallSchema),
  finish_reason: z.string().nullable(),
})
export type Choice = z.infer<typeof choiceSchema>

/** What one guard said about a request or an answer, over all texts in it that it looked at. */
export const guardVerdictSchema = z.object({
  name: z.string(),
  version: z.string(),
  direction: z.enum(['input', 'output']),
  mode: z.enum(['observe', 'block', 'redact', 'replace']),
  /** `flagged`: found, and only observed. `error`: it failed and was passed. `skipped`: it was never asked. */
  outcome: z.enum(['passed', 'flagged', 'redacted', 'blocked', 'error', 'skipped']),
  label: z.string().nullable(),
  score: z.number().nullable(),
  ms: z.number(),
  error: z.string().nullable(),
})
export type GuardVerdict = z.infer<typeof guardVerdictSchema>

/** One try to get an answer. `why` says what went wrong; null when nothing did. */
export const attemptNoteSchema = z.object({
  upstream: z.string(),
  status: z.number().int().nullable(),
  ms: z.number(),
  why: terminationSchema.nullable(),
})
export type AttemptNote = z.infer<typeof attemptNoteSchema>

/** How one of several answers was chosen. */
const bestOfNoteSchema = z.object({
  /** Answers that the upstream was asked for, and those of them that it gave. */
  asked: z.number().int().min(2),
  candidates: z.number().int().min(1),
  /** Of all that it gave, as far as answers are read. */
  characters: z.number().int().min(0),
  /** In the order of the upstream's choices; empty where nothing was scored. */
  rewards: z.array(z.number()),
  /** Which of them the client got: the first where nothing was scored. */
  chosen: z.number().int().min(0),
  /** Of scoring. */
  ms: z.number(),
  /** Why nothing was scored; null also where there was only one. */
  error: z.string().nullable(),
})
export type BestOfNote = z.infer<typeof bestOfNoteSchema>

/** One exchange with a model, as it is kept. */
export const interactionSchema = z.object({
  /** The id in the answer's body; where the body has none (embeddings, errors), the same as `record`. */
  id: z.string().min(1),
  /** UUIDv7 made by the gateway, sent as the header x-request-id. No two records share it, whatever an upstream says. */
  record: z.uuid(),
  project: z.string().min(1),
  /** The key that asked, by its public id. */
  key_id: z.string().nullable(),
  /** When the request was whole, ISO 8601 in UTC. */
  created_at: z.iso.datetime(),
  endpoint: z.string().min(1),
  /** Scheme, host and port of the last one that was asked; empty when none was. */
  upstream: z.string(),
  /** Every try, in their order. Records from before attempts were kept lack it. */
  attempts: z.array(attemptNoteSchema).optional(),
  /** Which configuration was in force: changes with every reload that changes it. Older records lack it. */
  config: z.string().optional(),
  upstream_request_id: z.string().nullable(),
  request_model: z.string().nullable(),
  /** As the answer names it. */
  model: z.string().nullable(),
  stream: z.boolean(),
  /** The status that the client was given; null when it left before there was one. */
  status: z.number().int().nullable(),
  termination: terminationSchema,
  /**
   * Whom the answer was for: hashes of the request's `safety_identifier`, `user` and `metadata.user_id`, in the request's
   * place of which the hash stands too.
   */
  subjects: z.array(z.string()).default([]),
  /** When and why the content was taken out; null for a whole record. */
  redaction: z
    .object({ at: z.iso.datetime(), reason: z.enum(['retention', 'subject', 'record']) })
    .nullable()
    .default(null),
  /** The body as the client sent it, but for the names of people; null when it was taken out. */
  request: z.json(),
  /** What the first choice said; all of them are in `choices`. */
  text: z.string(),
  choices: z.array(choiceSchema),
  usage: z.json(),
  error: z.object({ message: z.string(), type: z.string().nullable(), code: z.string().nullable() }).nullable(),
  /** Milliseconds from the whole request to each event; null for one that did not come. */
  timings: z.object({ headers_ms: z.number().nullable(), first_token_ms: z.number().nullable(), total_ms: z.number() }),
  /** What the guards said; the answer stands here as the model gave it, whatever they took out of it. */
  guards: z.array(guardVerdictSchema).default([]),
  /** Where the answer is the best of several: the others are not kept, and `usage` is that of all. */
  best_of: bestOfNoteSchema.optional(),
  /** Bytes of the two bodies. */
  request_bytes: z.number().int().min(0),
  response_bytes: z.number().int().min(0),
  /** What this record does not hold, and why: "the answer is encoded with gzip". */
  notes: z.array(z.string()),
})
export type Interaction = z.infer<typeof interactionSchema>
