import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { SequenceNormalizer } from './hf-libraries.ts'

/** A normalizer is a stranger's, and a chain of `a` → `aa` doubles a text with each step: no sound one grows it so far. */
const MAX_GROWTH = 16
const FREE_CHARACTERS = 1024
const MAX_STEPS = 64
/** What one step may put in, so that a single step stays harmless too. */
const MAX_CONTENT = 256

const stepSchema = z.looseObject({ type: z.string() })
const sequenceSchema = z.looseObject({ normalizers: z.array(stepSchema) })
const contentSchema = z.looseObject({
  content: z.string().max(MAX_CONTENT).optional(),
  prepend: z.string().max(MAX_CONTENT).optional(),
})

/**
 * The `normalizer` of a tokenizer.json, as a function. It throws `NORMALIZER_GROWS` when a text becomes more than 16
 * times as long, plus 1,024 characters. Errors: a ZodError, or the library's for an unknown type.
 */
export function createNormalizer(config: unknown): (text: string) => string {
  const parts = config === null || config === undefined ? [] : flatten(stepSchema.parse(config))
  if (parts.length > MAX_STEPS) throw new Error(`its normalizer has ${parts.length} steps, more than ${MAX_STEPS}`)
  const steps = parts.map((part) => {
    contentSchema.parse(part)
    return new SequenceNormalizer({ type: 'Sequence', normalizers: [part] })
  })
  return (text) => {
    const limit = MAX_GROWTH * text.length + FREE_CHARACTERS
    return steps.reduce<string>((before, step) => {
      const after = normalizeWith(step, before)
      if (after.length > limit) throw grows(text.length)
      return after
    }, text)
  }
}

function flatten(config: z.infer<typeof stepSchema>): z.infer<typeof stepSchema>[] {
  return config.type === 'Sequence' ? sequenceSchema.parse(config).normalizers.flatMap(flatten) : [config]
}

function normalizeWith(step: { normalize(text: string): string }, text: string): string {
  try {
    return step.normalize(text)
  } catch (cause) {
    // A string longer than V8 can hold.
    if (cause instanceof RangeError) throw grows(text.length, cause)
    throw cause
  }
}

function grows(length: number, cause?: unknown): PlumblineError {
  return new PlumblineError(
    'NORMALIZER_GROWS',
    `The tokenizer's normalizer makes a text of ${length} characters more than ${MAX_GROWTH} times as long.`,
    { hint: 'No sound tokenizer does that. Take tokenizer.json from the page of the model itself.', cause },
  )
}
