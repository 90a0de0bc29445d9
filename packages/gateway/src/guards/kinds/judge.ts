import { judgeBody, readJudgeReply } from '@plumbline/evals'
import { z } from 'zod'
import { settingsVersion } from '../settings-version.ts'
import { defineKind, lookBy, windowSchema } from './kind.ts'
import { endpointUrl, secretHeader } from './remote.ts'

const schema = z.strictObject({
  /** Of an OpenAI-compatible server, with /v1. */
  url: z.string().url(),
  /** Its name may lead to private addresses. */
  private: z.boolean().default(false),
  model: z.string().min(1).max(200),
  /** The environment variable that holds the key. */
  key_env: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/)
    .optional(),
  /** What is not allowed, in words. */
  policy: z.string().min(1).max(8_000),
  threshold: z.number().min(0).max(1).default(0.5),
  window: windowSchema.default(0),
})

/** A model that is asked whether a text violates a policy. Anything but the JSON it is asked for is an error. */
export const judge = defineKind({
  schema,
  modes: ['observe', 'block', 'replace'],
  layer: 3,
  build: ({ private: isPrivate, ...settings }, world) => {
    const post = world.openEndpoint(endpointUrl(settings.url, '/chat/completions'), isPrivate)
    const headers = secretHeader(settings.key_env, world)
    return {
      version: settingsVersion('1', settings),
      look: lookBy(settings.window, async (text, { prompt, direction }, signal) => {
        const judged: Record<string, string> =
          direction === 'input' ? { request: text } : { request: prompt, answer: text }
        const body = judgeBody(settings.model, settings.policy, judged)
        const { violates, score, category } = readJudgeReply(await post(body, headers, signal))
        return { isFlagged: violates && score >= settings.threshold, score, label: category }
      }),
    }
  },
})
