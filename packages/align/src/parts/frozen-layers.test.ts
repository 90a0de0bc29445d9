import { compile, createParameter, type Feeds, type ParameterMap, type Value } from '@plumbline/engine'
import { buildRaggedForward, parseModelConfig, raggedFeeds, shareTokens } from '@plumbline/models'
import { expect, test } from 'vitest'
import { createFrozenLayers, groupRows } from './frozen-layers.ts'

const config = parseModelConfig({
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  max_position_embeddings: 600,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
})

function randomParameters(): ParameterMap {
  const { graph } = buildRaggedForward(config)
  let seed = 1
  const next = () => {
    seed = (seed * 48271) % 2147483647
    return seed / 2147483647 - 0.5
  }
  return new Map(
    [...graph.parameters.entries()].map(([name, { shape }]) => {
      const parameter = createParameter(name, shape as number[])
      parameter.data.forEach((_, i) => {
        parameter.data[i] = name.includes('norm') ? 1 : next()
      })
      return [name, parameter]
    }),
  )
}

const model = { config, parameters: randomParameters() }
/** So many that they are computed in several groups, which have a beginning in common. */
const long = Array.from({ length: 12 }, (_, i) => Array.from({ length: 400 }, (_, t) => (t < 200 ? t : t + i * t) % 40))
const rows = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 9], ...long, [1, 2, 7, 7, 7], [8]]

async function hiddenOf(batch: readonly (readonly number[])[], below: Feeds | undefined) {
  const { graph, hiddenAtRows } = buildRaggedForward(config, { firstLayer: below ? 2 : 0 })
  const program = await compile(graph, { hidden: hiddenAtRows() })
  const weights: Record<string, Value> = Object.fromEntries(model.parameters)
  const feeds = raggedFeeds(config, batch)
  const all = feeds.ids.shape[0]
  const rows = { data: Int32Array.from({ length: all }, (_, i) => i), shape: [all] }
  const values = await program.run({ ...weights, ...feeds, rows, ...below })
  await program.dispose()
  return values.hidden.data as Float32Array
}

test('with them hidden states are those of the whole model, for rows and for their beginnings', async () => {
  const frozen = await createFrozenLayers(model, 2)
  frozen.hold(rows)
  for (const batch of [rows, [rows[3], rows[0], rows[13]], [rows[1].slice(0, 2), rows[2].slice(0, 9), rows.at(-1)!]]) {
    const [whole, upper] = [await hiddenOf(batch, undefined), await hiddenOf(batch, await frozen.feeds(batch))]
    expect(upper).toHaveLength(whole.length)
    whole.forEach((value, i) => {
      expect(upper[i]).toBeCloseTo(value, 4)
    })
  }
  await frozen.dispose()
})

test('their bits depend on the rows alone, not on what was asked for before', async () => {
  const [one, other] = [await createFrozenLayers(model, 2), await createFrozenLayers(model, 2)]
  one.hold(rows)
  other.hold([[30, 31]])
  await other.feeds([[30, 31]])
  other.hold(rows)
  for (const row of rows) await one.feeds([row])
  const batch = [rows[13].slice(0, 300), rows[3].slice(0, 3), rows[2]]
  expect(await other.feeds(batch)).toEqual(await one.feeds(batch))
  await Promise.all([one.dispose(), other.dispose()])
})

test('what is asked for is computed group by group until it is to stop, and later the same', async () => {
  const [one, other] = [await createFrozenLayers(model, 2), await createFrozenLayers(model, 2)]
  one.hold(rows)
  other.hold(rows)
  await one.prepare(rows, AbortSignal.abort())
  await other.prepare(rows, new AbortController().signal)
  expect(await one.feeds(rows)).toEqual(await other.feeds(rows))
  await Promise.all([one.dispose(), other.dispose()])
})

test('rows that begin alike are computed together, and no more than attention has memory for', () => {
  const prompt = (id: number) => new Array<number>(20).fill(id)
  const mixed = Array.from({ length: 240 }, (_, i) => [...prompt(i % 60), i])
  const groups = groupRows(mixed)
  expect(groups.flat()).toHaveLength(mixed.length)
  const computed = groups.reduce((sum, group) => sum + shareTokens(group).ids.length, 0)
  expect(computed).toBeLessThanOrEqual(shareTokens(mixed).ids.length + (groups.length - 1) * 20)
  const beginning = Array.from({ length: 900 }, (_, i) => i)
  const alike = Array.from({ length: 50 }, (_, i) => [...beginning, i])
  for (const group of groupRows(alike)) expect(group.length * 901 ** 2).toBeLessThanOrEqual(2 ** 20)
  expect(groupRows([Array.from({ length: 5000 }, (_, i) => i), [1]])).toHaveLength(2)
  expect(groupRows([])).toEqual([])
})
