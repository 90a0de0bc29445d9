import { compile, createParameter } from '@plumbline/engine'
import { expect, test } from 'vitest'
import { forwardFeeds } from './batch.ts'
import { parseModelConfig } from './config.ts'
import { buildForward } from './forward.ts'

const raw = {
  model_type: 'llama',
  vocab_size: 3,
  hidden_size: 2,
  intermediate_size: 1,
  num_hidden_layers: 2,
  num_attention_heads: 1,
  rms_norm_eps: 1e-12,
}
const identity = [1, 0, 0, 1]

/** What is not zero, or one in a norm. */
const weights: Record<string, number[]> = {
  'model.embed_tokens.weight': [1, 1, 1, -1, 0, 0],
  'model.layers.0.self_attn.q_proj.weight': identity,
  'model.layers.0.self_attn.k_proj.weight': identity,
  'model.layers.0.self_attn.v_proj.weight': identity,
  'model.layers.0.self_attn.o_proj.weight': identity,
  'model.layers.1.mlp.gate_proj.weight': [1, 0],
  'model.layers.1.mlp.up_proj.weight': [0, 1],
  'model.layers.1.mlp.down_proj.weight': [1, 0],
  'lm_head.weight': [1, 0, 0, 1, 1, 1],
}

/**
 * Tokens 0, 1 are the vectors [1, 1] and [1, −1], whose root mean square is 1, so the first norm changes nothing.
 *
 * Layer 0 only attends. Position 0 sees itself: [1, 1] + [1, 1] = [2, 2].
 * Position 1 turns its query by 1 radian: [cos 1 + sin 1, sin 1 − cos 1], which with the key [1, 1] gives 2 sin 1, and
 * with its own key 2. Over √2: √2 sin 1 and √2. Its own share is p = 1 / (1 + e^(√2 (sin 1 − 1))), so it reads
 * (1 − p)·[1, 1] + p·[1, −1] = [1, 1 − 2p] and becomes [2, −2p].
 *
 * Layer 1 only has its MLP: for x with the norm h it adds silu(h₀)·h₁ to x₀. The head gives x̂₀, x̂₁ and x̂₀ + x̂₁ of the
 * last norm x̂.
 */
test('logits of two layers equal those worked out by hand', async () => {
  const rms = ([a, b]: number[]) => Math.sqrt((a * a + b * b) / 2)
  const silu = (z: number) => z / (1 + Math.exp(-z))
  const p = 1 / (1 + Math.exp(Math.SQRT2 * (Math.sin(1) - 1)))
  const expected = [
    [2, 2],
    [2, -2 * p],
  ].flatMap((x) => {
    const [h0, h1] = x.map((value) => value / rms(x))
    const y = [x[0] + silu(h0) * h1, x[1]]
    const [a, b] = y.map((value) => value / rms(y))
    return [a, b, a + b]
  })
  // Position 0 with nothing but a pocket calculator: silu(1) = 0.731059; [2.731059, 2] over √5.729340 = 2.393604.
  expect(expected[0]).toBeCloseTo(1.140982, 5)
  expect(expected[1]).toBeCloseTo(0.83556, 5)

  const config = parseModelConfig(raw)
  const forward = buildForward(config)
  const program = await compile(forward.graph, { logits: forward.logits() })
  const parameters = [...forward.graph.parameters].map(([name, { shape }]) => {
    const parameter = createParameter(name, shape as number[])
    if (name.includes('norm')) parameter.data.fill(1)
    if (weights[name]) parameter.data.set(weights[name])
    return [name, parameter] as const
  })
  const { logits } = await program.run({ ...Object.fromEntries(parameters), ...forwardFeeds(config, [[0, 1]]) })
  await program.dispose()
  expect(logits.data).toHaveLength(6)
  expected.forEach((value, i) => {
    expect(logits.data[i]).toBeCloseTo(value, 5)
  })
})
