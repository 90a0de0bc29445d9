/** LoRA on a tiny model against numbers of torch and PEFT (`tests/golden/ops.py`). */
import { compile, createRandom, gradients, mul, neg, sum } from '@plumbline/engine'
import {
  adaptWithLora,
  buildForward,
  completionFeeds,
  createAdapter,
  forwardFeeds,
  loadAdapter,
  loadModelFolder,
  mergeAdapter,
  parseModelConfig,
  targetLogprobs,
} from '@plumbline/models'
import { expect, test } from 'vitest'
import { goldenPath, readGolden } from './golden/read-golden.ts'

const expected = readGolden('models/llama-tied-lora/expected.safetensors')
const { config: rawConfig, parameters } = await loadModelFolder(goldenPath('models/llama-tied'))
const config = parseModelConfig(rawConfig)
const adapter = await loadAdapter(goldenPath('models/llama-tied-lora'))
const [batch, time] = expected.get('input_ids')!.shape
const sequences = Array.from({ length: batch }, (_, row) => {
  const part = (key: string) => expected.get(key)!.data.slice(row * time, (row + 1) * time)
  return part('input_ids').filter((_, i) => part('attention_mask')[i] === 1)
})
const rows = sequences.map((ids) => ({ promptIds: ids.slice(0, 1), completionIds: ids.slice(1) }))
const weights = { ...Object.fromEntries(parameters), ...Object.fromEntries(adapter.parameters) }

function expectRealLogits(logits: ArrayLike<number>) {
  const reference = expected.get('logits')!.data
  sequences.forEach(({ length }, row) => {
    for (let i = 0; i < length * config.vocabSize; i++)
      expect(logits[row * time * config.vocabSize + i]).toBeCloseTo(reference[row * time * config.vocabSize + i], 4)
  })
}

test('logits equal those of PEFT, beside the weights and merged into them', async () => {
  const beside = buildForward(config, { adapt: adaptWithLora(adapter) })
  const program = await compile(beside.graph, { logits: beside.logits() })
  const feeds = forwardFeeds(config, sequences)
  expectRealLogits((await program.run({ ...weights, ...feeds })).logits.data as Float32Array)

  const plain = buildForward(config)
  const merged = await compile(plain.graph, { logits: plain.logits() })
  const mergedWeights = Object.fromEntries(await mergeAdapter(config, parameters, adapter))
  expectRealLogits((await merged.run({ ...mergedWeights, ...feeds })).logits.data as Float32Array)
})

test('gradients of the adapter equal those of torch, and there are no others', async () => {
  const forward = buildForward(config, { adapt: adaptWithLora(adapter) })
  const mean = forward.graph.input('weights', 'float32', ['M'])
  const loss = neg(sum(mul(targetLogprobs(forward), mean)))
  const names = [...adapter.parameters.keys()]
  const grads = gradients(
    loss,
    names.map((name) => forward.graph.parameters.get(name)!),
  )
  const outputs = Object.fromEntries(names.map((name, i) => [name, grads[i]!]))
  const program = await compile<string>(forward.graph, { loss, ...outputs })
  const feeds = completionFeeds(config, rows)
  const count = feeds.targets.shape[0]
  const values = await program.run({
    ...weights,
    ...feeds,
    weights: { data: new Float32Array(count).fill(1 / count), shape: [count] },
  })
  expect(values.loss.data[0]).toBeCloseTo(expected.get('loss')!.data[0], 5)
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) {
    const reference = expected.get(`grad.base_model.model.${name}`)!.data
    const largest = Math.max(...reference.map(Math.abs))
    reference.forEach((value, i) => {
      expect(Math.abs((values[name].data[i] as number) - value) / largest, name).toBeLessThan(1e-5)
    })
  }
})

test('a new adapter changes nothing, with dropout too; an unknown target names what there is', async () => {
  const options = { rank: 2, alpha: 4, dropout: 0.5, random: createRandom(1) }
  const fresh = createAdapter(config, { ...options, targetModules: ['all-linear'] })
  expect(fresh.targetModules).toEqual(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'])
  const adapted = buildForward(config, { adapt: adaptWithLora(fresh, { isTraining: true }) })
  const plain = buildForward(config)
  const feeds = { ...Object.fromEntries(parameters), ...forwardFeeds(config, sequences) }
  const seed = { data: Uint32Array.of(7), shape: [] }
  const withAdapter = await compile(adapted.graph, { logits: adapted.logits() })
  const without = await compile(plain.graph, { logits: plain.logits() })
  const { logits } = await withAdapter.run({ ...feeds, ...Object.fromEntries(fresh.parameters), loraSeed: seed })
  expect(logits.data).toEqual((await without.run(feeds)).logits.data)
  expect(() => createAdapter(config, { ...options, targetModules: ['q_porj'] })).toThrow(/q_porj/)
})

test('layers below the share have no adapter', () => {
  const options = { rank: 2, alpha: 4, dropout: 0, random: createRandom(1), targetModules: ['q_proj'] }
  const layers = (skipShare: number) => [
    ...new Set(
      [...createAdapter(config, { ...options, skipShare }).parameters.keys()].map((name) => name.split('.')[2]),
    ),
  ]
  expect(config.layers).toBe(2)
  expect([0, 0.4, 0.5, 0.9].map(layers)).toEqual([['0', '1'], ['0', '1'], ['1'], ['1']])
})
