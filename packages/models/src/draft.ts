/**
 * Guessing the next tokens from the text itself: prompt lookup (Saxena 2023; transformers' prompt_lookup_num_tokens).
 *
 * A step at batch 1 waits for all weights to come from memory, so reading more tokens at once costs little more.
 */

/** Longest and shortest end of the text that is looked for. */
const LONGEST_MATCH = 3
const SHORTEST_MATCH = 1

export const FIRST_DRAFT = 4
export const MOST_DRAFTED = 7

/**
 * What followed the latest earlier occurrence of the context's last 3 tokens, or else of its last 2 or 1: `count` tokens,
 * none where there was no such occurrence. One that reaches into its own continuation goes on as a loop.
 */
export function lookUpDraft(context: readonly number[], count: number): number[] {
  for (let size = LONGEST_MATCH; size >= SHORTEST_MATCH; size--) {
    const start = latestOccurrence(context, size)
    if (start < 0) continue
    const period = context.length - size - start
    return Array.from({ length: count }, (_, i) => context[start + size + (i % period)])
  }
  return []
}

/** Where the last `size` tokens stand once more before the end, the latest such place; -1: nowhere. */
function latestOccurrence(context: readonly number[], size: number): number {
  const end = context.length - size
  for (let start = end - 1; start >= 0; start--) {
    let equal = 0
    while (equal < size && context[start + equal] === context[end + equal]) equal++
    if (equal === size) return start
  }
  return -1
}

/** How many to guess after so many were right: text that repeats itself gets long drafts, other text one token. */
export function draftLengthAfter(accepted: number): number {
  return Math.max(1, Math.min(MOST_DRAFTED, 2 * accepted))
}
