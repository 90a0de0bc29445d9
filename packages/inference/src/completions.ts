import { randomUUID } from 'node:crypto'
import { RequestError } from '@plumbline/gateway/openai-error'
import { z } from 'zod'
import { type AnswerFormat, type Choice, type Endpoint, type Piece, type ServedModel, seconds } from './call.ts'
import { completionFields, maxTokensField, unsupportedBut } from './fields.ts'
import { textLogprobs } from './logprobs.ts'
import { answerLength, checkChars, parseBody, seedOr } from './parse-body.ts'
import { completionUsage, usageChunk } from './usage.ts'

const tokens = z.array(z.number().int().min(0)).min(1)
const maxPrompts = 64

const schema = z.strictObject({
  ...completionFields,
  prompt: z.union([
    z.string(),
    tokens,
    z.array(z.string()).min(1).max(maxPrompts),
    z.array(tokens).min(1).max(maxPrompts),
  ]),
  max_tokens: maxTokensField.default(16),
  logprobs: z.number().int().min(0).max(5).optional(),
  best_of: unsupportedBut(1),
  echo: unsupportedBut(false),
  suffix: unsupportedBut(''),
})

/** POST /v1/completions */
export const completions: Endpoint = (body, model) => {
  const request = parseBody(schema, body, model)
  const prompts = promptList(request.prompt).map((prompt) => encodePrompt(prompt, model))
  for (const prompt of prompts) answerLength(prompt, request.max_tokens, model, 'prompt')
  return {
    prompts,
    numGenerations: request.n,
    seed: seedOr(request.seed),
    isStream: request.stream,
    options: {
      temperature: request.temperature,
      topP: request.top_p,
      topK: request.top_k,
      repetitionPenalty: request.repetition_penalty,
      stop: request.stop,
      maxNewTokens: request.max_tokens,
      topLogprobs: request.logprobs ?? 0,
    },
    format: textFormat(model, request.logprobs !== undefined, request.stream_options?.include_usage ?? false),
  }
}

type Prompt = string | number[]

function promptList(prompt: z.output<typeof schema>['prompt']): readonly Prompt[] {
  if (typeof prompt === 'string') return [prompt]
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as Prompt[])
}

function encodePrompt(prompt: Prompt, model: ServedModel): readonly number[] {
  if (typeof prompt === 'string') {
    checkChars(prompt.length, model, 'prompt')
    return model.tokenizer.encode(prompt)
  }
  if (prompt.every((id) => id < model.config.vocabSize)) return prompt
  const message = `'prompt' has a token that this model does not know: they go from 0 to ${model.config.vocabSize - 1}.`
  throw new RequestError(400, 'invalid_value', message, { param: 'prompt' })
}

function textFormat(model: ServedModel, hasLogprobs: boolean, includesUsage: boolean): AnswerFormat {
  const id = `cmpl-${randomUUID()}`
  const head = { id, object: 'text_completion', created: seconds(model), model: model.name }
  const choiceOf = (
    { index }: Choice,
    text: string,
    pieces: readonly Piece[],
    reason: Choice['finishReason'] | null,
  ) => ({
    text,
    index,
    logprobs: hasLogprobs ? textLogprobs(pieces, model) : null,
    finish_reason: reason,
  })
  const chunk = (choice: ReturnType<typeof choiceOf>) => [
    { data: { ...head, choices: [choice], ...(includesUsage && { usage: null }) } },
  ]
  return {
    whole: (choices, usage) => ({
      ...head,
      choices: choices.map((choice) => choiceOf(choice, choice.text, choice.pieces, choice.finishReason)),
      usage: completionUsage(usage),
    }),
    opening: () => [],
    begin: () => [],
    more: (choice, text, pieces) => chunk(choiceOf(choice, text, pieces, null)),
    end: (choice) => chunk(choiceOf(choice, '', [], choice.finishReason)),
    closing: (_, usage) => [...(includesUsage ? [usageChunk(head, usage)] : []), { data: '[DONE]' }],
  }
}
