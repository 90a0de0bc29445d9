import { randomUUID } from 'node:crypto'
import { RequestError } from '@plumbline/gateway/openai-error'
import { z } from 'zod'
import { type AnswerFormat, type Choice, type Endpoint, type Piece, type ServedModel, seconds } from './call.ts'
import { completionFields, maxTokensField, unsupportedBut } from './fields.ts'
import { chatLogprobs } from './logprobs.ts'
import { chatMessage, encodeMessages } from './messages.ts'
import { answerLength, parseBody, seedOr } from './parse-body.ts'
import { completionUsage, usageChunk } from './usage.ts'

const schema = z.strictObject({
  ...completionFields,
  messages: z.array(chatMessage).min(1),
  max_tokens: maxTokensField,
  max_completion_tokens: maxTokensField,
  logprobs: z.boolean().default(false),
  top_logprobs: z.number().int().min(0).max(20).optional(),
  tools: unsupportedBut([]),
  tool_choice: unsupportedBut('none', 'auto'),
  parallel_tool_calls: z.boolean().optional(),
  functions: unsupportedBut([]),
  function_call: unsupportedBut('none', 'auto'),
  response_format: unsupportedBut({ type: 'text' }),
  modalities: unsupportedBut(['text']),
  audio: unsupportedBut(),
  prediction: unsupportedBut(),
  reasoning_effort: unsupportedBut('none'),
  verbosity: unsupportedBut('medium'),
  web_search_options: unsupportedBut(),
})

/** POST /v1/chat/completions */
export const chat: Endpoint = (body, model) => {
  const request = parseBody(schema, body, model)
  const { max_tokens, max_completion_tokens, logprobs, top_logprobs } = request
  if (max_tokens !== undefined && max_completion_tokens !== undefined) {
    const message = "'max_tokens' is the old name of 'max_completion_tokens': give one of them."
    throw new RequestError(400, 'invalid_value', message, { param: 'max_tokens' })
  }
  if (top_logprobs !== undefined && !logprobs) {
    throw new RequestError(400, 'invalid_value', "'top_logprobs' goes with 'logprobs': true.", {
      param: 'top_logprobs',
    })
  }
  const promptIds = encodeMessages(request.messages, model, 'messages')
  return {
    prompts: [promptIds],
    numGenerations: request.n,
    seed: seedOr(request.seed),
    isStream: request.stream,
    options: {
      temperature: request.temperature,
      topP: request.top_p,
      topK: request.top_k,
      repetitionPenalty: request.repetition_penalty,
      stop: request.stop,
      maxNewTokens: answerLength(promptIds, max_completion_tokens ?? max_tokens, model, 'messages'),
      topLogprobs: top_logprobs ?? 0,
    },
    format: chatFormat(model, logprobs, request.stream_options?.include_usage ?? false),
  }
}

function chatFormat(model: ServedModel, hasLogprobs: boolean, includesUsage: boolean): AnswerFormat {
  const head = { id: `chatcmpl-${randomUUID()}`, created: seconds(model), model: model.name }
  const logprobs = (pieces: readonly Piece[]) => (hasLogprobs ? chatLogprobs(pieces, model) : null)
  const chunk = ({ index, finishReason }: Choice, delta: object, pieces: readonly Piece[], isLast = false) => {
    const choice = { index, delta, logprobs: logprobs(pieces), finish_reason: isLast ? finishReason : null }
    const data = { ...head, object: 'chat.completion.chunk', choices: [choice], ...(includesUsage && { usage: null }) }
    return [{ data }]
  }
  return {
    whole: (choices, usage) => ({
      ...head,
      object: 'chat.completion',
      choices: choices.map(({ index, text, pieces, finishReason }) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: logprobs(pieces),
        finish_reason: finishReason,
      })),
      usage: completionUsage(usage),
    }),
    opening: () => [],
    begin: (choice) => chunk(choice, { role: 'assistant', content: '', refusal: null }, []),
    more: (choice, content, pieces) => chunk(choice, { content }, pieces),
    end: (choice) => chunk(choice, {}, [], true),
    closing: (_, usage) => [
      ...(includesUsage ? [usageChunk({ ...head, object: 'chat.completion.chunk' }, usage)] : []),
      { data: '[DONE]' },
    ],
  }
}
