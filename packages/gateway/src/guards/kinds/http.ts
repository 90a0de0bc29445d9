import { z } from 'zod'
import { settingsVersion } from '../settings-version.ts'
import { defineKind, lookBy, windowSchema } from './kind.ts'
import { secretHeader } from './remote.ts'

const schema = z.strictObject({
  /** The whole address, such as https://api.openai.com/v1/moderations. */
  url: z.string().url(),
  /** Its name may lead to private addresses. */
  private: z.boolean().default(false),
  model: z.string().min(1).max(200).optional(),
  key_env: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/)
    .optional(),
  /** By category; without one the endpoint's own `flagged` counts. */
  thresholds: z.record(z.string(), z.number().min(0).max(1)).optional(),
  window: windowSchema.default(0),
})

const replySchema = z.object({
  results: z
    .array(
      z.object({
        flagged: z.boolean(),
        categories: z.record(z.string(), z.boolean().nullable()).optional(),
        category_scores: z.record(z.string(), z.number()).optional(),
      }),
    )
    .min(1),
})

/** Any endpoint that takes `{input}` and answers as OpenAI's moderation does. */
export const http = defineKind({
  schema,
  modes: ['observe', 'block', 'replace'],
  layer: 2,
  build: ({ private: isPrivate, ...settings }, world) => {
    const post = world.openEndpoint(settings.url, isPrivate)
    const headers = secretHeader(settings.key_env, world)
    return {
      version: settingsVersion('1', settings),
      look: lookBy(settings.window, async (text, _, signal) => {
        const body = { input: text, ...(settings.model === undefined ? {} : { model: settings.model }) }
        const reply = replySchema.safeParse(await post(body, headers, signal))
        if (!reply.success) throw new Error('the endpoint gave no moderation')
        return readResult(reply.data.results[0], settings.thresholds)
      }),
    }
  },
})

function readResult(
  { flagged, category_scores: scores = {} }: z.infer<typeof replySchema>['results'][number],
  thresholds: Readonly<Record<string, number>> | undefined,
) {
  const [label, score] = Object.entries(scores).toSorted(([, a], [, b]) => b - a)[0] ?? [null, null]
  if (thresholds === undefined) return { isFlagged: flagged, score, label }
  const over = Object.entries(thresholds).find(([category, threshold]) => (scores[category] ?? 0) >= threshold)
  return over === undefined
    ? { isFlagged: false, score, label }
    : { isFlagged: true, score: scores[over[0]], label: over[0] }
}
