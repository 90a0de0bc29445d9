import { createPoster } from '@plumbline/gateway/checked-post'
import { z } from 'zod'
import type { CounterfactualPlan } from '../plan.ts'
import type { ChatMessage } from './read-prompt.ts'

/** What the upstream said, that its filter kept it back, or the code of why it said nothing. */
export type Said = { readonly text: string } | { readonly isFiltered: true } | { readonly error: string }

export interface Asker {
  /** One prompt, in the shadow: no user waits for it. Rejects only when told to stop. */
  ask(model: string, messages: readonly ChatMessage[], signal: AbortSignal): Promise<Said>
  close(): Promise<void>
}

const replySchema = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }).optional(),
        finish_reason: z.string().nullish(),
      }),
    )
    .min(1),
})
const filteredSchema = z.object({ error: z.object({ code: z.enum(['content_filter', 'content_policy_violation']) }) })

export function openAsker({ url, key, isPrivate, maxTokens, timeoutMs }: CounterfactualPlan): Asker {
  const poster = createPoster(`${url}/chat/completions`, { what: 'counterfactual.url', isPrivate })
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  return {
    ask: async (model, messages, signal) => {
      const body = JSON.stringify({ model, messages, temperature: 0, max_tokens: maxTokens, stream: false })
      const late = AbortSignal.timeout(timeoutMs)
      try {
        const { status, text } = await poster.post(body, headers, AbortSignal.any([signal, late]))
        return status === 200 ? saidIn(text) : notSaid(status, text)
      } catch {
        signal.throwIfAborted()
        return { error: late.aborted ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_UNREACHABLE' }
      }
    },
    close: poster.close,
  }
}

function saidIn(reply: string): Said {
  try {
    const [{ message, finish_reason }] = replySchema.parse(JSON.parse(reply)).choices
    if (finish_reason === 'content_filter') return { isFiltered: true }
    if (message === undefined) return { error: 'UPSTREAM_REPLY' }
    return { text: message.content || message.refusal || '' }
  } catch {
    return { error: 'UPSTREAM_REPLY' }
  }
}

/** Some filters answer with an error: the prompt, or the answer, is against a policy. */
function notSaid(status: number, reply: string): Said {
  const error = { error: `UPSTREAM_STATUS_${status}` }
  if (status !== 400) return error
  try {
    return filteredSchema.safeParse(JSON.parse(reply)).success ? { isFiltered: true } : error
  } catch {
    return error
  }
}
