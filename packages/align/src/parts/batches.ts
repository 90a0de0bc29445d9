import type { Random } from '@plumbline/engine'

/** Numbers 0 … count − 1 in random order (Fisher & Yates). */
export function shuffled(count: number, random: Random): number[] {
  const order = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = random.integer(i + 1)
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}

export interface PlanOptions {
  /** Rows of one step. */
  readonly batchSize: number
  /** With packing: as many rows as fit in this many tokens, instead of a number of rows. */
  readonly packedTokens?: number
  /** Maybe not a whole number: of the last epoch, that share of the steps. */
  readonly epochs: number
  /** Ends the plan early, or goes on for further epochs; below 0 the epochs decide. */
  readonly maxSteps: number
  readonly random: Random
}

/**
 * The rows of every step. Each epoch is a fresh shuffle that depends on the seed and the epoch alone: a resumed run
 * makes the same plan and needs to remember nothing but its step.
 */
export function planBatches(
  lengths: readonly number[],
  { epochs, maxSteps, random, ...sizes }: PlanOptions,
): number[][] {
  const plan: number[][] = []
  const isEnough = (epoch: number) => (maxSteps >= 0 ? plan.length >= maxSteps : epoch >= epochs)
  for (let epoch = 0; !isEnough(epoch); epoch++) {
    const order = shuffled(lengths.length, random.fork(`epoch ${epoch}`))
    const batches = cutBatches(order, lengths, sizes)
    const share = maxSteps >= 0 ? 1 : Math.min(1, epochs - epoch)
    // 2.1 epochs less two are a little more than a tenth.
    plan.push(...batches.slice(0, Math.ceil(share * batches.length - 1e-6)))
  }
  return maxSteps >= 0 ? plan.slice(0, maxSteps) : plan
}

/**
 * The steps of a run that ends with passes of its own kind, `last`: where `maxSteps` (below 0: no limit) leaves too few
 * steps, those before them give way first. `first` makes a plan of at most so many steps.
 */
export function planBefore<Step>(
  last: readonly Step[],
  maxSteps: number,
  first: (maxSteps: number) => readonly Step[],
): Step[] {
  if (maxSteps < 0) return [...first(-1), ...last]
  return [...first(Math.max(0, maxSteps - last.length)), ...last].slice(0, maxSteps)
}

function cutBatches(
  order: readonly number[],
  lengths: readonly number[],
  { batchSize, packedTokens }: Pick<PlanOptions, 'batchSize' | 'packedTokens'>,
): number[][] {
  const batches: number[][] = []
  let tokens = 0
  for (const row of order) {
    const batch = batches.at(-1)
    tokens += lengths[row]
    const fits = batch && (packedTokens === undefined ? batch.length < batchSize : tokens <= packedTokens)
    if (fits) batch.push(row)
    else {
      batches.push([row])
      tokens = lengths[row]
    }
  }
  return batches
}

/** As many parts as asked for, of sizes that differ by one at most; fewer when there are not that many items. */
export function splitEvenly<Item>(items: readonly Item[], parts: number): Item[][] {
  const count = Math.min(parts, items.length)
  const start = (part: number) => Math.round((part * items.length) / count)
  return Array.from({ length: count }, (_, part) => items.slice(start(part), start(part + 1)))
}

/**
 * Cuts a batch into micro-batches of like lengths, of at most `tokens` tokens where a row is not longer by itself: as few
 * as can be, and the largest as small as can be, since it decides how much memory is needed.
 */
export function microBatches<Row>(batch: readonly Row[], lengthOf: (row: Row) => number, tokens: number): Row[][] {
  const rows = batch.toSorted((a, b) => lengthOf(b) - lengthOf(a))
  const fewest = fill(rows, lengthOf, tokens)
  let [tooSmall, enough] = [0, tokens]
  while (enough - tooSmall > 1) {
    const middle = Math.floor((tooSmall + enough) / 2)
    if (fill(rows, lengthOf, middle).length > fewest.length) tooSmall = middle
    else enough = middle
  }
  return fill(rows, lengthOf, enough)
}

function fill<Row>(rows: readonly Row[], lengthOf: (row: Row) => number, tokens: number): Row[][] {
  const parts: Row[][] = []
  let size = 0
  for (const row of rows) {
    const part = parts.at(-1)
    size += lengthOf(row)
    if (part && size <= tokens) part.push(row)
    else {
      parts.push([row])
      size = lengthOf(row)
    }
  }
  return parts
}
