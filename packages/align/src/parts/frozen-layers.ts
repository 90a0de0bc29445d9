import { compile, type Feeds, type ParameterMap, type Value } from '@plumbline/engine'
import { buildLowerLayers, compareTokens, type ModelConfig, raggedFeeds, TokenTrie } from '@plumbline/models'

/** Sequences of tokens. */
type Rows = readonly (readonly number[])[]

/**
 * The layers below the lowest adapter. Training never changes them, so what they make of a row is computed once, and
 * read in every epoch, by every network on the same trunk.
 */
export interface FrozenLayers {
  /** The first layer above them: where `buildRaggedForward` begins. */
  readonly firstLayer: number
  /** Forgets all rows but these, which `feeds` is asked for from now on. */
  hold(rows: Rows): void
  /** Computes what `feeds` will need, group by group; leaves the rest to it when it is to stop. */
  prepare(batch: Rows, signal: AbortSignal): Promise<void>
  /** Input `residual` of `buildRaggedForward` for a batch of these rows, or of beginnings of them. */
  feeds(batch: Rows): Promise<Feeds>
  dispose(): Promise<void>
}

/**
 * Rows of about this many distinct tokens are computed together: always the same ones, in whatever order they are asked
 * for, as the last bits depend on it. Of the pairs that the main job's reward model reads (seed 0) 39,033 tokens are
 * distinct and 40,518 are computed. A short run computes rows that it does not need: 16 of all pairs touch 20 of 46 groups.
 */
const GROUP_TOKENS = 1024
/** Most scores that attention has in a group of several rows, rows · longest² for each head: as of one row of 1,024. */
const GROUP_SCORES = 2 ** 20

interface Model {
  readonly config: ModelConfig
  readonly parameters: ParameterMap
}

interface Group {
  readonly rows: Rows
  isKnown: boolean
}

interface Held {
  readonly trie: TokenTrie
  readonly groups: readonly Group[]
  /** The group that computes each token of the trie. */
  readonly groupOf: readonly number[]
  /** [tokens of the trie, hiddenSize] */
  readonly states: Float32Array
}

/** Of more rows than that the states are not kept, and all layers are computed in every epoch. */
const MOST_NUMBERS = 2 ** 27

/** How many numbers the kept states of rows are, at most; 0 where none are kept. */
export function frozenNumbers({ hiddenSize }: ModelConfig, firstLayer: number, rows: Rows): number {
  const numbers = hiddenSize * rows.reduce((sum, { length }) => sum + length, 0)
  return firstLayer === 0 || numbers > MOST_NUMBERS ? 0 : numbers
}

/** The layers below `firstLayer`, holding these rows; undefined where nothing is kept. */
export async function freezeLayers(model: Model, firstLayer: number, rows: Rows): Promise<FrozenLayers | undefined> {
  if (frozenNumbers(model.config, firstLayer, rows) === 0) return undefined
  const frozen = await createFrozenLayers(model, firstLayer)
  frozen.hold(rows)
  return frozen
}

/** Compiles the layers of a model below `firstLayer`. Nothing is held yet. */
export async function createFrozenLayers({ config, parameters }: Model, firstLayer: number): Promise<FrozenLayers> {
  const { graph, residual } = buildLowerLayers(config, firstLayer)
  const program = await compile(graph, { residual })
  const weights: Record<string, Value> = Object.fromEntries(parameters)
  const { hiddenSize } = config
  let held = holdRows([], hiddenSize)

  async function compute(group: Group, index: number): Promise<void> {
    const { residual } = await program.run({ ...weights, ...raggedFeeds(config, group.rows) })
    const { trie, groupOf, states } = held
    distinct(trie, group.rows).forEach((token, row) => {
      if (groupOf[token] === index) copyRow(residual.data as Float32Array, row, states, token, hiddenSize)
    })
    group.isKnown = true
  }

  async function computeFor(tokens: readonly number[], signal?: AbortSignal): Promise<void> {
    const { groups, groupOf } = held
    for (const index of new Set(tokens.map((token) => groupOf[token])))
      if (!groups[index].isKnown && !signal?.aborted) await compute(groups[index], index)
  }

  return {
    firstLayer,
    hold(rows) {
      held = holdRows(rows, hiddenSize)
    },
    async prepare(batch, signal) {
      await computeFor(distinct(held.trie, batch), signal)
    },
    async feeds(batch) {
      const { trie, states } = held
      const tokens = distinct(trie, batch)
      await computeFor(tokens)
      const data = new Float32Array(tokens.length * hiddenSize)
      tokens.forEach((token, row) => {
        copyRow(states, token, data, row, hiddenSize)
      })
      return { residual: { data, shape: [tokens.length, hiddenSize] } }
    },
    dispose: () => program.dispose(),
  }
}

function holdRows(rows: Rows, hiddenSize: number): Held {
  const trie = new TokenTrie()
  const groupOf: number[] = []
  const groups = groupRows(rows).map((rows) => ({ rows, isKnown: false }))
  for (const [index, { rows }] of groups.entries()) {
    for (const row of rows) trie.add(row)
    while (groupOf.length < trie.ids.length) groupOf.push(index)
  }
  return { trie, groups, groupOf, states: new Float32Array(trie.ids.length * hiddenSize) }
}

/** Rows that are computed together, in the order of their tokens: few groups then begin alike, which each would compute. */
export function groupRows(rows: Rows): Rows[] {
  const groups: (readonly number[])[][] = []
  let inGroup = new TokenTrie()
  let longest = 0
  for (const row of rows.toSorted(compareTokens)) {
    const group = groups.at(-1)
    longest = Math.max(longest, row.length)
    if (group && inGroup.ids.length < GROUP_TOKENS && (group.length + 1) * longest ** 2 <= GROUP_SCORES) {
      group.push(row)
    } else {
      groups.push([row])
      inGroup = new TokenTrie()
      longest = row.length
    }
    inGroup.add(row)
  }
  return groups
}

/** Tokens of the trie in the order in which a batch first has them, which is that of `raggedFeeds`. */
function distinct(trie: TokenTrie, batch: Rows): number[] {
  return [...new Set(batch.flatMap((sequence) => trie.add(sequence)))]
}

function copyRow(from: Float32Array, fromRow: number, to: Float32Array, toRow: number, width: number): void {
  to.set(from.subarray(fromRow * width, (fromRow + 1) * width), toRow * width)
}
