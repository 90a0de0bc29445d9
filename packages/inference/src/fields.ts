import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'

/** What several endpoints take, with OpenAI's names, bounds and defaults. */
export const sharedFields = {
  model: z.string(),
  stream: z.boolean().default(false),
  temperature: z.number().min(0).max(2).default(1),
  top_p: z.number().gt(0).max(1).default(1),
  // Names for the caller's own bookkeeping: they are in the record, the model has no use for them.
  user: z.string().max(512).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  safety_identifier: z.string().max(512).optional(),
  prompt_cache_key: z.string().max(512).optional(),
  service_tier: z.enum(['auto', 'default']).optional(),
}

const streamOptions = z.strictObject({
  include_usage: z.boolean().default(false),
  include_obfuscation: z.literal(false).optional(),
})

/** What chat and text completions share beyond that. */
export const completionFields = {
  ...sharedFields,
  n: z.number().int().min(1).max(16).default(1),
  stop: z
    .union([z.string().min(1).max(1000), z.array(z.string().min(1).max(1000)).max(16)])
    .transform((stop) => [stop].flat())
    .default([]),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  stream_options: streamOptions.optional(),
  // vLLM's names for what the sampler knows beside OpenAI's.
  top_k: z.number().int().min(0).default(0),
  repetition_penalty: z.number().gt(0).max(10).default(1),
  presence_penalty: unsupportedBut(0),
  frequency_penalty: unsupportedBut(0),
  logit_bias: unsupportedBut({}),
  store: unsupportedBut(false),
}

export const maxTokensField = z.number().int().min(1).optional()

/** A parameter that is refused, except for the values that ask for nothing. */
export function unsupportedBut(...neutral: readonly unknown[]) {
  return z
    .unknown()
    .refine((value) => value === undefined || neutral.some((one) => isDeepStrictEqual(value, one)), {
      error: 'the local model does not support it',
      params: { code: 'unsupported_parameter' },
    })
    .optional()
}
