import type { Interaction } from '@plumbline/contracts'
import { asObject, type Json } from './answer.ts'
import type { EndpointPath } from './endpoints.ts'

/** For want of the model's own tokenizer. English has more characters a token, JSON and other languages fewer. */
const bytesPerToken = 4
/** Of an answer whose request does not limit it. */
const unlimitedAnswer = 256
const maxTokens = 1e9

/** What a request will use, by a guess: its own size, and the answers that it allows. */
export function guessTokens(path: EndpointPath, request: Json, requestBytes: number): number {
  const own = Math.ceil(requestBytes / bytesPerToken)
  if (path === '/v1/embeddings') return own
  const asked = [request.max_completion_tokens, request.max_output_tokens, request.max_tokens].find(isCount)
  const choices = isCount(request.n) ? Math.min(request.n, 128) : 1
  return Math.min(maxTokens, own + Math.ceil(asked ?? unlimitedAnswer) * choices)
}

/** What an answer has used: as it says itself, else by its length; nothing when no upstream began one. */
export function usedTokens(answer: Partial<Interaction>, requestBytes: number): number {
  const { usage, choices, attempts, best_of: bestOf } = answer
  const { total_tokens: total } = asObject(usage)
  if (isCount(total)) return Math.min(maxTokens, total)
  const isAnswered = attempts?.some(({ status }) => status !== null && status < 300) === true
  if (!isAnswered) return 0
  const length = (choices ?? []).reduce((sum, { text, reasoning, refusal, tool_calls: calls }) => {
    const called = calls.reduce((bytes, call) => bytes + call.arguments.length, 0)
    return sum + text.length + reasoning.length + refusal.length + called
  }, 0)
  // Candidates that nobody got were generated too.
  return Math.ceil(requestBytes / bytesPerToken) + Math.ceil((bestOf?.characters ?? length) / bytesPerToken)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
