import {
  argmax,
  type CompileOptions,
  compile,
  div,
  type Graph,
  logSumExp,
  type ParameterMap,
  softmax,
  type Tensor,
  type Value,
} from '@plumbline/engine'
import { ropeFeeds } from './batch.ts'
import type { ModelConfig } from './config.ts'
import { buildCachedForward, checkHead, headName, tableNames } from './forward.ts'
import { UNTIED_HEAD } from './head-names.ts'
import { JOIN } from './model-graph.ts'
import { isGreedy } from './sampling.ts'

/** What the model says of the token that follows each of N contexts. */
export interface NextTokens {
  readonly vocabSize: number
  /** [N, vocabSize] */
  readonly logits: Float32Array
  /** log Σ e^logit, [N]: a token's log-probability is its logit less this. */
  readonly logNormalizers: Float32Array
  /** The token with the highest logit, the first of equals, [N]. */
  readonly likeliest: Int32Array
  /** softmax(logits / temperature), [N, vocabSize]; not handed over where every row is greedy, which needs none. */
  readonly probabilities?: Float32Array
}

/**
 * A model that is ready to go on from what it has read: its program, and a key-value cache of `slots` sequences of at most
 * `length` tokens. Sequences sit in the first slots; a slot's length is the caller's to remember.
 */
export interface Decoder {
  readonly slots: number
  /** Positions of a slot. */
  readonly length: number
  /** Sees to it that a slot has at least so many positions. What slots hold is kept. */
  reserve(length: number): void
  /** Reads prompts into the slots from `first` on, which hold the first `start` tokens of each already. */
  prefill(
    first: number,
    prompts: readonly (readonly number[])[],
    temperatures: readonly number[],
    start?: number,
  ): Promise<NextTokens>
  /** Appends one token to each of the first slots, which hold `lengths` tokens so far. */
  step(tokens: readonly number[], lengths: readonly number[], temperatures: readonly number[]): Promise<NextTokens>
  /** Appends several tokens to any slot, which holds `length` so far, and tells what follows the last of them. */
  read(slot: number, tokens: readonly number[], length: number, temperature: number): Promise<NextTokens>
  /**
   * Appends several tokens to the first slot, which holds `length` so far, and tells what follows each of them. It may be
   * told a smaller length afterwards: later calls write over what is beyond it.
   */
  verify(tokens: readonly number[], length: number, temperature: number): Promise<NextTokens>
  /** Copies the first `length` positions of one slot to another. */
  copySlot(from: number, to: number, length: number): void
  dispose(): Promise<void>
}

type FloatValue = Value & { readonly data: Float32Array }

export interface DecoderOptions extends Pick<CompileOptions, 'threads'> {
  readonly slots: number
  readonly length: number
  /**
   * How many tokens it will write at most, one after the other, where that is known. For a few of them the weights are read
   * where they lie: packing them takes longer than it saves.
   */
  readonly tokens?: number
}

/**
 * SmolLM2-135M on two cores: packing takes 0.95 s, a token costs 27 ms then and 38 ms without. The first is waited for most,
 * so the limit lies somewhat above what comes out even. Of many sequences nobody waits for the first: on two slower cores
 * packing takes 1.6 s, a token of each of 24 of them 115 ms then and 136 ms without.
 */
const FEW_NEW_TOKENS = { alone: 128, sideBySide: 76 }

/** Bytes of keys and values that one token takes in a cache. */
export function cacheBytes({ layers, keyValueHeads, headSize }: ModelConfig): number {
  return layers * 2 * keyValueHeads * headSize * Float32Array.BYTES_PER_ELEMENT
}

/** Comparing so many with a whole slot costs less than copying what of it is held. */
const FEW_READ_TOKENS = 16

/**
 * Compiles a decoder, for as long as `parameters` stay as they are: some of them are copied and packed, others are read
 * where they lie. Throws NOT_A_LANGUAGE_MODEL.
 */
export async function createDecoder(
  config: ModelConfig,
  parameters: ParameterMap,
  { slots, length: firstLength, tokens = Number.POSITIVE_INFINITY, threads }: DecoderOptions,
): Promise<Decoder> {
  checkHead(config, parameters)
  const forward = buildCachedForward(config, 'plain')
  const { graph } = forward
  const logits = forward.logitsAtRows()
  const probabilities = softmax(div(logits, graph.input('temperatures', 'float32', ['M', 1])))
  const outputs: Record<string, Tensor> = {
    logits,
    logNormalizers: logSumExp(logits),
    likeliest: argmax(logits),
    probabilities,
    ...entryNames(forward.caches),
  }
  // ONNX Runtime copies what is baked three times on its way; rows of a table are as fast to read where it lies.
  const tables = tableNames(config)
  const few = FEW_NEW_TOKENS[slots === 1 ? 'alone' : 'sideBySide']
  const fed: Record<string, Value> = {}
  const baked = new Map<string, Float32Array>()
  for (const [name, weight] of weightsOf(config, graph, parameters)) {
    if (tokens <= few || tables.includes(name)) fed[name] = weight
    else baked.set(name, weight.data)
  }
  const program = await compile(graph, outputs, { baked, threads })

  const { keyValueHeads, headSize, vocabSize } = config
  let length = firstLength
  let head = length * headSize
  let slot = keyValueHeads * head
  const caches = new Map(Object.keys(forward.caches).map((name) => [name, new Float32Array(slots * slot)]))
  const entries = Object.keys(entryNames(forward.caches))
  let fixed = { ...fed, ...lengthFeeds(config, length) }
  const buffers = { logits: new Float32Array(), probabilities: new Float32Array() }
  const bufferOf = (name: keyof typeof buffers, rows: number) => {
    const size = rows * vocabSize
    if (buffers[name].length < size) buffers[name] = new Float32Array(size)
    return { data: buffers[name].subarray(0, size), shape: [rows, vocabSize] }
  }

  /** Appends tokens [B, T] to slots; `rows` are the positions, flattened, whose next tokens are asked for. */
  async function run(
    first: number,
    ids: Int32Array,
    starts: readonly number[],
    lengths: readonly number[],
    rows: Int32Array,
    temperatures: readonly number[],
  ): Promise<NextTokens> {
    const batch = lengths.length
    const time = ids.length / batch
    const positions = ids.map((_, i) => starts[Math.floor(i / time)] + (i % time))
    const cacheShape = [batch, keyValueHeads, length, headSize]
    const feeds: Record<string, Value> = {
      ids: { data: ids, shape: [batch, time] },
      positions: { data: positions, shape: [batch, time] },
      rows: { data: rows, shape: [rows.length] },
      starts: { data: Int32Array.from(starts), shape: [batch] },
      lastPositions: { data: Int32Array.from(lengths, (size) => size - 1), shape: [batch] },
      totalLength: { data: Int32Array.of(Math.max(...lengths)), shape: [1] },
      // Greedy rows never read their probabilities; any temperature but 0 will do.
      temperatures: { data: Float32Array.from(temperatures, (t) => t || 1), shape: [rows.length, 1] },
      ...fixed,
    }
    for (const [name, data] of caches)
      feeds[name] = { data: data.subarray(first * slot, (first + batch) * slot), shape: cacheShape }
    // Each token is compared with all that is fed: of a prompt's with no more than what is held.
    if (time > FEW_READ_TOKENS) Object.assign(feeds, heldFeeds(first, batch, Math.max(1, ...starts)))
    const into: Record<string, Value> = { logits: bufferOf('logits', rows.length) }
    if (!temperatures.every(isGreedy)) into.probabilities = bufferOf('probabilities', rows.length)
    const wanted = [...Object.keys(into), 'logNormalizers', 'likeliest', ...entries]
    const values = await program.run(feeds, { into, wanted })
    for (const [name, cache] of caches)
      keep(cache, values[entryName(name)].data as Float32Array, first, time, starts, lengths)
    // What is not a number would spread to whoever comes into the slot: 0 · NaN is NaN.
    if (!(values.logNormalizers.data as Float32Array).every(Number.isFinite)) forget(first, starts)
    const scores = (name: string) => values[name]?.data as Float32Array
    return {
      vocabSize,
      logits: scores('logits'),
      logNormalizers: scores('logNormalizers'),
      likeliest: values.likeliest.data as Int32Array,
      probabilities: scores('probabilities'),
    }
  }

  /** The caches of slots without what is behind their first `held` positions. */
  function heldFeeds(first: number, batch: number, held: number): Record<string, Value> {
    const width = held * headSize
    const shape = [batch, keyValueHeads, held, headSize]
    const feeds: Record<string, Value> = {
      cacheIndices: { data: Int32Array.from({ length: held }, (_, i) => i), shape: [held] },
    }
    for (const [name, cache] of caches) {
      const data = new Float32Array(batch * keyValueHeads * width)
      for (let i = 0; i < batch * keyValueHeads; i++) {
        const from = first * slot + i * head
        data.set(cache.subarray(from, from + width), i * width)
      }
      feeds[name] = { data, shape }
    }
    return feeds
  }

  /** Empties slots from `first` on behind what they held before. */
  function forget(first: number, starts: readonly number[]): void {
    for (const cache of caches.values())
      starts.forEach((held, row) => {
        for (let k = 0; k < keyValueHeads; k++) {
          const from = (first + row) * slot + k * head
          cache.fill(0, from + held * headSize, from + head)
        }
      })
  }

  /** Puts new entries [B, K, T, D] behind those that a cache holds of each sequence. */
  function keep(
    cache: Float32Array,
    entries: Float32Array,
    first: number,
    time: number,
    starts: readonly number[],
    lengths: readonly number[],
  ): void {
    lengths.forEach((size, row) => {
      for (let k = 0; k < keyValueHeads; k++) {
        const from = (row * keyValueHeads + k) * time * headSize
        const to = (first + row) * slot + k * head + starts[row] * headSize
        const count = (size - starts[row]) * headSize
        // Thousands of short runs in every step: a view of each costs more than its numbers.
        for (let i = 0; i < count; i++) cache[to + i] = entries[from + i]
      }
    })
  }

  return {
    slots,
    get length() {
      return length
    },
    reserve(least) {
      if (least <= length) return
      // Doubled, so that a sequence that grows token by token is copied a few times only.
      length = Math.max(least, Math.min(2 * length, config.maxPositions))
      const oldHead = head
      head = length * headSize
      slot = keyValueHeads * head
      for (const [name, old] of caches) {
        const cache = new Float32Array(slots * slot)
        for (let i = 0; i < slots * keyValueHeads; i++)
          cache.set(old.subarray(i * oldHead, (i + 1) * oldHead), i * head)
        caches.set(name, cache)
      }
      fixed = { ...fixed, ...lengthFeeds(config, length) }
    },
    prefill(first, prompts, temperatures, start = 0) {
      const lengths = prompts.map((prompt) => prompt.length)
      const time = Math.max(...lengths) - start
      const ids = new Int32Array(prompts.length * time)
      prompts.forEach((prompt, row) => {
        ids.set(prompt.slice(start), row * time)
      })
      const rows = Int32Array.from(lengths, (size, row) => row * time + size - start - 1)
      const starts = lengths.map(() => start)
      return run(first, ids, starts, lengths, rows, temperatures)
    },
    step(tokens, lengths, temperatures) {
      const rows = Int32Array.from(lengths, (_, row) => row)
      const after = lengths.map((size) => size + 1)
      return run(0, Int32Array.from(tokens), lengths, after, rows, temperatures)
    },
    read(slot, tokens, size, temperature) {
      const after = size + tokens.length
      return run(slot, Int32Array.from(tokens), [size], [after], Int32Array.of(tokens.length - 1), [temperature])
    },
    verify(tokens, size, temperature) {
      const rows = Int32Array.from(tokens, (_, row) => row)
      const temperatures = tokens.map(() => temperature)
      return run(0, Int32Array.from(tokens), [size], [size + tokens.length], rows, temperatures)
    },
    copySlot(from, to, size) {
      for (const data of caches.values())
        for (let k = 0; k < keyValueHeads; k++) {
          const start = from * slot + k * head
          data.copyWithin(to * slot + k * head, start, start + size * headSize)
        }
    },
    dispose: () => program.dispose(),
  }
}

/** Inputs that depend on the length of the slots alone. */
function lengthFeeds(config: ModelConfig, length: number): Record<string, Value> {
  const indices = Int32Array.from({ length }, (_, i) => i)
  return { ...ropeFeeds(config, length), cacheIndices: { data: indices, shape: [length] } }
}

const entryName = (cache: string) => `new.${cache}`

function entryNames<T>(caches: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(caches).map(([name, value]) => [entryName(name), value]))
}

/** Values of the graph's parameters; joined ones are put together. */
function weightsOf(config: ModelConfig, graph: Graph, parameters: ParameterMap): Map<string, FloatValue> {
  const valuesOf = (name: string) => parameters.get(name === UNTIED_HEAD ? headName(config) : name)!.data
  const weights = new Map<string, FloatValue>()
  for (const [name, { shape }] of graph.parameters) {
    const parts = name.split(JOIN).map(valuesOf)
    const data = parts.length === 1 ? parts[0] : concatenate(parts)
    weights.set(name, { data, shape: shape as number[] })
  }
  return weights
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((size, part) => size + part.length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}
