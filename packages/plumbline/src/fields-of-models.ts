import { z } from 'zod'

/** Config fields that several commands share. */
export const modelField = z
  .string()
  .min(1)
  .default('smollm2-135m-instruct')
  .describe('the model: a folder, a .gguf file, a short name, or org/name[@revision] on the Hugging Face hub')

export const chatTemplateField = z
  .string()
  .optional()
  .describe("a Jinja file to use instead of the model's chat template")

export const adapterField = z.string().optional().describe('a PEFT LoRA folder to add to the model')

export const samplingFields = {
  max_new_tokens: z.number().int().min(1).max(1_000_000).default(128).describe('longest answer, in tokens'),
  temperature: z.number().min(0).max(100).default(0.7).describe('0 takes the likeliest token each time'),
  top_p: z.number().gt(0).max(1).default(1).describe('keep the likeliest tokens up to this probability'),
  top_k: z.number().int().min(0).default(0).describe('keep this many of the likeliest tokens; 0 keeps all'),
  repetition_penalty: z.number().gt(0).max(10).default(1).describe('above 1, tokens already seen are less likely'),
  stop: z
    .array(z.string().min(1))
    .max(16)
    .default([])
    .meta({ commas: false })
    .describe('text that ends an answer; repeat the flag for several'),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(42).describe('same seed, same answers'),
}

const message = z.looseObject({ role: z.string(), content: z.string() })

/** A prompt or a completion in a data file: text, or messages. */
export const textOrMessages = z.union([z.string(), z.array(message).min(1)])
export type TextOrMessages = z.infer<typeof textOrMessages>
