import { PlumblineError } from '@plumbline/contracts'
import type { Feeds } from '@plumbline/engine'
import { MASKED } from './attention.ts'
import type { ModelConfig } from './config.ts'
import { type RopeTables, ropeTables } from './rope-tables.ts'

/** Throws SEQUENCE_TOO_LONG, naming the first sequence that does not fit the model. */
export function checkSequenceLengths(
  { maxPositions }: ModelConfig,
  lengths: readonly number[],
  nameOf = (index: number) => `row ${index + 1}`,
): void {
  const index = lengths.findIndex((length) => length > maxPositions)
  if (index < 0) return
  throw new PlumblineError(
    'SEQUENCE_TOO_LONG',
    `${nameOf(index)} has ${lengths[index]} tokens; the model has ${maxPositions} positions.`,
    { hint: 'Shorten it. Trainers cut with --max-length.' },
  )
}

/**
 * Right-padded sequences as the feeds of `buildForward`. Padding is never looked at by real tokens, so it changes no
 * real number. Throws SEQUENCE_TOO_LONG when a sequence does not fit the model.
 */
export function forwardFeeds(config: ModelConfig, sequences: readonly (readonly number[])[]): Feeds {
  const batch = sequences.length
  checkSequenceLengths(
    config,
    sequences.map(({ length }) => length),
  )
  const time = Math.max(1, ...sequences.map(({ length }) => length))
  const ids = new Int32Array(batch * time)
  const positions = Int32Array.from({ length: batch * time }, (_, i) => i % time)
  const bias = new Float32Array(batch * time * time)
  sequences.forEach((sequence, row) => {
    ids.set(sequence, row * time)
    for (let query = 0; query < time; query++) {
      const start = (row * time + query) * time
      bias.fill(MASKED, start + query + 1, start + time)
    }
  })
  return {
    ids: { data: ids, shape: [batch, time] },
    positions: { data: positions, shape: [batch, time] },
    attentionBias: { data: bias, shape: [batch, 1, time, time] },
    ...ropeFeeds(config, time),
  }
}

/** Sequences as the feeds of `buildRaggedForward`; see `shareTokens`. Throws SEQUENCE_TOO_LONG. */
export function raggedFeeds(
  config: ModelConfig,
  sequences: readonly (readonly number[])[],
  { ids, places } = shareTokens(sequences),
): Feeds {
  const { ids: _, ...padded } = forwardFeeds(config, sequences)
  const shape = padded.positions.shape
  const [batch, time] = shape
  const slots = new Int32Array(batch * time).fill(-1)
  const firstSlots = new Int32Array(batch * time).fill(-1)
  const rows: number[] = []
  const copies: number[] = []
  places.forEach((tokens, row) => {
    tokens.forEach((token, position) => {
      const slot = row * time + position
      slots[slot] = token
      // Tokens are numbered in the order in which they are first seen.
      if (token < rows.length) copies.push(slot)
      else {
        firstSlots[slot] = token
        rows.push(slot)
      }
    })
  })
  return {
    ...padded,
    ids: vector(ids),
    tokenPositions: vector(rows.map((row) => row % time)),
    tokenRows: vector(rows),
    slots: { data: slots, shape },
    firstSlots: { data: firstSlots, shape },
    ...copyFeeds(
      copies,
      copies.map((slot) => slots[slot]),
      rows.length,
    ),
  }
}

/** Places of copies among `tokens` tokens, and whose they are: see `spreadRows`. */
function copyFeeds(copies: readonly number[], owners: readonly number[], tokens: number): Feeds {
  const copied = [...new Set(owners)]
  const copiedAt = new Int32Array(tokens).fill(-1)
  copied.forEach((owner, i) => {
    copiedAt[owner] = i
  })
  const isCopy = new Float32Array(copied.length * copies.length)
  owners.forEach((owner, copy) => {
    isCopy[copiedAt[owner] * copies.length + copy] = 1
  })
  return {
    copies: vector(copies),
    copied: vector(copied),
    copiedAt: { data: copiedAt, shape: [1, tokens] },
    isCopy: { data: isCopy, shape: [copied.length, copies.length] },
  }
}

/** The distinct tokens of a batch, and which of them each sequence is made of. */
export interface SharedTokens {
  /** [N] */
  readonly ids: readonly number[]
  /** For each sequence the token, 0 … N − 1, at each position. */
  readonly places: readonly (readonly number[])[]
}

/**
 * Sequences by what they begin with: tokens with the same past are one token, so a system prompt, or the prompt of a
 * chosen and a rejected answer, is computed once for all. Past and position decide what a token's hidden state is, so
 * sharing changes no number (but for dropout, which falls alike on all copies), and its gradient is the sum over the
 * sequences.
 */
export class TokenTrie {
  /** Of the distinct tokens, in the order in which they were first seen. */
  readonly ids: number[] = []
  private readonly beginnings = new Map<number, number>()
  private readonly next: Map<number, number>[] = []

  /** Which distinct token stands at each position. */
  add(sequence: readonly number[]): number[] {
    let children = this.beginnings
    return sequence.map((id) => {
      const token = children.get(id) ?? this.ids.push(id) - 1
      children.set(id, token)
      this.next[token] ??= new Map()
      children = this.next[token]
      return token
    })
  }
}

/** Orders sequences so that those that begin alike stand together. */
export function compareTokens(a: readonly number[], b: readonly number[]): number {
  const place = a.findIndex((id, i) => id !== b[i])
  return place < 0 ? a.length - b.length : a[place] - (b[place] ?? -1)
}

/** The distinct tokens of a batch; see `TokenTrie`. */
export function shareTokens(sequences: readonly (readonly number[])[]): SharedTokens {
  const trie = new TokenTrie()
  return { places: sequences.map((sequence) => trie.add(sequence)), ids: trie.ids }
}

function vector(values: readonly number[]) {
  return { data: Int32Array.from(values), shape: [values.length] }
}

/** A sequence and the positions of the tokens in it that are to be predicted; position 0 cannot be. */
export interface TargetSequence {
  readonly ids: readonly number[]
  readonly targets: readonly number[]
}

/** Feeds of `buildRaggedForward` with `targetLogprobs`: the targets in order of sequences and positions. */
export function raggedTargetFeeds(config: ModelConfig, batch: readonly TargetSequence[]): Feeds {
  const sequences = batch.map(({ ids }) => ids)
  const shared = shareTokens(sequences)
  const rows = batch.flatMap(({ targets }, i) => targets.map((position) => shared.places[i][position - 1]))
  const targets = batch.flatMap(({ ids, targets }) => targets.map((position) => ids[position]))
  return { ...raggedFeeds(config, sequences, shared), rows: vector(rows), targets: vector(targets) }
}

/** The same for prompts and completions: every completion token is a target. */
export function raggedCompletionFeeds(config: ModelConfig, batch: readonly PromptCompletion[]): Feeds {
  return raggedTargetFeeds(config, batch.map(completionTargets))
}

/** A prompt and its completion as one sequence in which the completion is to be predicted. */
export function completionTargets({ promptIds, completionIds }: PromptCompletion): TargetSequence {
  return { ids: [...promptIds, ...completionIds], targets: completionIds.map((_, i) => promptIds.length + i) }
}

/** A prompt and what follows it, as tokens. */
export interface PromptCompletion {
  readonly promptIds: readonly number[]
  readonly completionIds: readonly number[]
}

/** Feeds of `buildForward` with `targetLogprobs`: every completion token is a target, in order of rows and tokens. */
export function completionFeeds(config: ModelConfig, batch: readonly PromptCompletion[]): Feeds {
  const sequences = batch.map(({ promptIds, completionIds }) => [...promptIds, ...completionIds])
  const feeds = forwardFeeds(config, sequences)
  const [, time] = feeds.ids.shape
  const rows = batch.flatMap(({ promptIds, completionIds }, row) =>
    completionIds.map((_, i) => row * time + promptIds.length + i - 1),
  )
  const targets = batch.flatMap(({ completionIds }) => completionIds)
  return { ...feeds, rows: vector(rows), targets: vector(targets) }
}

const tablesByConfig = new WeakMap<ModelConfig, { tables: RopeTables; positions: number }>()

/** Rotation tables for at least `positions` positions; none for families without. */
export function ropeFeeds(config: ModelConfig, positions: number): Feeds {
  if (config.family !== 'llama') return {}
  let known = tablesByConfig.get(config)
  if (!known || known.positions < positions) {
    const size = Math.min(config.maxPositions, Math.max(256, 2 ** Math.ceil(Math.log2(positions))))
    known = { tables: ropeTables(config, Math.max(size, positions)), positions: Math.max(size, positions) }
    tablesByConfig.set(config, known)
  }
  const shape = [known.positions, config.headSize / 2]
  return { ropeCos: { data: known.tables.cos, shape }, ropeSin: { data: known.tables.sin, shape } }
}
