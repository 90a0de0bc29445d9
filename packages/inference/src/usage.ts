import type { StreamEvent, Usage } from './call.ts'

export function completionUsage({ promptTokens, completionTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  }
}

/** The last chunk of a stream that was asked for its usage. */
export function usageChunk(head: object, usage: Usage): StreamEvent {
  return { data: { ...head, choices: [], usage: completionUsage(usage) } }
}
