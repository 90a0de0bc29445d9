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

/** Sequences as the feeds of `buildRaggedForward`. Throws SEQUENCE_TOO_LONG. */
export function raggedFeeds(config: ModelConfig, sequences: readonly (readonly number[])[]): Feeds {
  const { ids, ...padded } = forwardFeeds(config, sequences)
  const [batch, time] = ids.shape
  const slots = new Int32Array(batch * time).fill(-1)
  const rows: number[] = []
  sequences.forEach((sequence, row) => {
    sequence.forEach((_, position) => {
      slots[row * time + position] = rows.length
      rows.push(row * time + position)
    })
  })
  return {
    ...padded,
    ids: vector(sequences.flat()),
    tokenPositions: vector(rows.map((row) => row % time)),
    tokenRows: vector(rows),
    slots: { data: slots, shape: [batch, time] },
  }
}

function vector(values: readonly number[]) {
  return { data: Int32Array.from(values), shape: [values.length] }
}

/** Feeds of `buildRaggedForward` with `targetLogprobs`: every completion token is a target, in order of rows and tokens. */
export function raggedCompletionFeeds(config: ModelConfig, batch: readonly PromptCompletion[]): Feeds {
  const sequences = batch.map(({ promptIds, completionIds }) => [...promptIds, ...completionIds])
  let start = 0
  const rows = batch.flatMap(({ promptIds, completionIds }) => {
    const first = start + promptIds.length - 1
    start += promptIds.length + completionIds.length
    return completionIds.map((_, i) => first + i)
  })
  const targets = batch.flatMap(({ completionIds }) => completionIds)
  return { ...raggedFeeds(config, sequences), rows: vector(rows), targets: vector(targets) }
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
