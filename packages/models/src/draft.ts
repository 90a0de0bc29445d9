/**
 * Guessing the next tokens from the text itself: prompt lookup (Saxena 2023; transformers' prompt_lookup_num_tokens).
 *
 * A pass at batch 1 waits for all weights to come from memory, so reading more tokens at once costs little more. On two
 * cores SmolLM2-135M took 27 ms for one token, 28 for two, 32 for four and 33 to 38 for eight. Its greedy answers to 16
 * questions came to 1.18 tokens a pass, 16 continuations of a licence to 1.66; counted with 3 % a guessed token, the
 * worst of them lost 1 %. Ends of 3, 2 and 1 tokens did better than 3 and 2 (1.11 and 1.57) or 3 alone.
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
