import type { Decoder, NextTokens } from './decoder.ts'
import { draftLengthAfter, lookUpDraft, MOST_DRAFTED } from './draft.ts'
import { cachedLength, extendSequence, type Sequence } from './sequence.ts'

/** Sequences that are written at the same time, each in a slot of the decoder. They may enter and leave between any two steps. */
export interface DecodingBatch<S extends Sequence> {
  /** In the order of their slots. */
  readonly active: readonly S[]
  /**
   * Seats new sequences behind the active ones, reads each distinct prompt once and draws all first tokens. The batch is of
   * no more use when `signal` ended that.
   */
  admit(entering: readonly S[], signal?: AbortSignal): Promise<void>
  /** Seats a sequence whose prompt was read into another slot, and draws its first token from what follows the prompt. */
  admitRead(entering: S, slot: number, scores: NextTokens): void
  /** The next token of each; several where one is alone and its guesses are right. */
  advance(signal?: AbortSignal): Promise<void>
  /** Takes out those that are over; the last ones move into their slots. */
  remove(isOver: (sequence: S) => boolean): void
}

export function createDecodingBatch<S extends Sequence>(decoder: Decoder): DecodingBatch<S> {
  const active: S[] = []
  return {
    active,
    async admit(entering, signal) {
      const isLeader = (sequence: S, i: number) => i === 0 || entering[i - 1].promptIds !== sequence.promptIds
      const leaders = entering.filter(isLeader).toSorted((a, b) => b.promptIds.length - a.promptIds.length)
      const followers = entering.filter((sequence, i) => !isLeader(sequence, i))
      let first = active.length
      active.push(...leaders, ...followers)
      const shared = sharedLength(active[0].promptIds, leaders)
      for (const group of prefillGroups(leaders, shared, first > 0)) {
        signal?.throwIfAborted()
        const prompts = group.map(({ promptIds }) => promptIds)
        decoder.reserve(prompts[0].length)
        const start = first > 0 ? shared : 0
        for (let row = 0; start > 0 && row < group.length; row++) decoder.copySlot(0, first + row, start)
        const scores = await decoder.prefill(first, prompts, group.map(temperatureOf), start)
        for (const [row, leader] of group.entries()) {
          extendSequence(leader, scores, row)
          for (const follower of followers) {
            if (follower.promptIds !== leader.promptIds) continue
            decoder.copySlot(first + row, active.indexOf(follower), leader.promptIds.length)
            extendSequence(follower, scores, row)
          }
        }
        first += group.length
      }
    },
    admitRead(entering, slot, scores) {
      decoder.copySlot(slot, active.length, entering.promptIds.length)
      active.push(entering)
      extendSequence(entering, scores, 0)
    },
    async advance(signal) {
      const draft = active.length === 1 ? draftOf(active[0]) : []
      decoder.reserve(Math.max(...active.map(cachedLength)) + 1 + draft.length)
      if (draft.length > 0) await advanceAlong(decoder, active[0], draft, signal)
      else await advanceAll(decoder, active)
    },
    remove(isOver) {
      for (let row = active.length - 1; row >= 0; row--) {
        if (!isOver(active[row])) continue
        const last = active.pop()!
        if (row === active.length) continue
        decoder.copySlot(active.length, row, cachedLength(last))
        active[row] = last
      }
    },
  }
}

const temperatureOf = ({ options }: Sequence) => options.temperature

/** Most tokens, padding included, that one call reads: enough to keep the kernels busy, little enough memory. */
const PREFILL_TOKENS = 2048
/** Prompts are read together while the shortest is at least this part of the longest. */
const PREFILL_FILL = 0.75

/** A shorter beginning is read again rather than copied. */
const LEAST_SHARED = 8

/** How many tokens at the beginning of all prompts, such as a system prompt, are those of the first slot's. */
function sharedLength(held: readonly number[], sequences: readonly Sequence[]): number {
  let shared = held.length
  for (const { promptIds } of sequences) {
    // The last token is read in any case: what follows it is asked for.
    shared = Math.min(shared, promptIds.length - 1)
    for (let i = 0; i < shared; i++) if (promptIds[i] !== held[i]) shared = i
  }
  return shared < LEAST_SHARED ? 0 : shared
}

/**
 * Sequences, longest prompt first, cut into groups that are read together, without what they share. Where no slot holds
 * that yet the first is read alone.
 */
function prefillGroups<S extends Sequence>(sequences: readonly S[], shared: number, isHeld: boolean): S[][] {
  const groups: S[][] = []
  const sizeOf = ({ promptIds }: S) => promptIds.length - shared
  for (const sequence of sequences) {
    const group = groups.at(-1)
    const longest = group ? sizeOf(group[0]) : 0
    const isFirst = groups.length === 1 && shared > 0 && !isHeld
    const fits = group && !isFirst && (group.length + 1) * longest <= PREFILL_TOKENS
    if (fits && sizeOf(sequence) >= PREFILL_FILL * longest) group.push(sequence)
    else groups.push([sequence])
  }
  return groups
}

/** Reads the last token of each sequence and draws the next. */
async function advanceAll(decoder: Decoder, active: readonly Sequence[]): Promise<void> {
  const tokens = active.map(({ tokenIds }) => tokenIds.at(-1)!)
  const scores = await decoder.step(tokens, active.map(cachedLength), active.map(temperatureOf))
  active.forEach((sequence, row) => {
    extendSequence(sequence, scores, row)
  })
}

/** What a sequence may go on with; the token after it is drawn in any case and has to fit too. */
function draftOf({ promptIds, tokenIds, draftLength, options }: Sequence): number[] {
  const { maxNewTokens, draftTokens = MOST_DRAFTED } = options
  const most = Math.min(draftLength, draftTokens, maxNewTokens - tokenIds.length - 1)
  return most > 0 ? lookUpDraft([...promptIds, ...tokenIds], most) : []
}

/**
 * Reads a draft at once and draws each token as ever, with the same random numbers, for as long as they are the draft's:
 * speculative decoding (Leviathan et al. 2023) whose draft is certain of itself, so the tokens are those of `advanceAll`.
 */
async function advanceAlong(decoder: Decoder, sequence: Sequence, draft: readonly number[], signal?: AbortSignal) {
  const { tokenIds } = sequence
  const scores = await decoder.verify([tokenIds.at(-1)!, ...draft], cachedLength(sequence), temperatureOf(sequence))
  let accepted = 0
  for (let row = 0; row <= draft.length; row++) {
    signal?.throwIfAborted()
    extendSequence(sequence, scores, row)
    if (sequence.finishReason || tokenIds.at(-1) !== draft[row]) break
    accepted++
  }
  sequence.draftLength = draftLengthAfter(accepted)
}
