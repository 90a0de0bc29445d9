import { compile, type Feeds, type ParameterMap, type Value } from '@plumbline/engine'
import { buildLowerLayers, type ModelConfig, raggedFeeds, TokenTrie } from '@plumbline/models'

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
  /** Input `residual` of `buildRaggedForward` for a batch of these rows, or of beginnings of them. */
  feeds(batch: Rows): Promise<Feeds>
  dispose(): Promise<void>
}

/**
 * Rows of about this many distinct tokens are computed together: always the same ones, in whatever order they are asked
 * for, as the last bits depend on it. In order of their tokens, so that few groups share a beginning, which each of them
 * computes: of the example set's pairs 39,033 tokens are distinct; groups of 512, shared ones counted, in the order of the
 * rows computed 49,502.
 */
const GROUP_TOKENS = 1024
/** Attention sees padding and copies: rows times the longest. */
const GROUP_SLOTS = 4 * GROUP_TOKENS

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

  return {
    firstLayer,
    hold(rows) {
      held = holdRows(rows, hiddenSize)
    },
    async feeds(batch) {
      const { trie, groups, groupOf, states } = held
      const tokens = distinct(trie, batch)
      for (const index of new Set(tokens.map((token) => groupOf[token])))
        if (!groups[index].isKnown) await compute(groups[index], index)
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
  const groups: { rows: (readonly number[])[]; isKnown: boolean }[] = []
  let inGroup = new TokenTrie()
  let longest = 0
  for (const row of rows.toSorted(byTokens)) {
    const group = groups.at(-1)
    longest = Math.max(longest, row.length)
    const isFull = group && (inGroup.ids.length >= GROUP_TOKENS || (group.rows.length + 1) * longest > GROUP_SLOTS)
    if (!group || isFull) {
      groups.push({ rows: [], isKnown: false })
      inGroup = new TokenTrie()
      longest = row.length
    }
    groups.at(-1)!.rows.push(row)
    inGroup.add(row)
    trie.add(row)
    while (groupOf.length < trie.ids.length) groupOf.push(groups.length - 1)
  }
  return { trie, groups, groupOf, states: new Float32Array(trie.ids.length * hiddenSize) }
}

/** Rows that begin alike stand together. */
function byTokens(a: readonly number[], b: readonly number[]): number {
  const difference = a.findIndex((id, i) => id !== b[i])
  return difference < 0 ? a.length - b.length : a[difference] - (b[difference] ?? -1)
}

/** Tokens of the trie in the order in which a batch first has them, which is that of `raggedFeeds`. */
function distinct(trie: TokenTrie, batch: Rows): number[] {
  return [...new Set(batch.flatMap((sequence) => trie.add(sequence)))]
}

function copyRow(from: Float32Array, fromRow: number, to: Float32Array, toRow: number, width: number): void {
  to.set(from.subarray(fromRow * width, (fromRow + 1) * width), toRow * width)
}
