import { expect, test } from 'vitest'
import { type LlamaConfig, parseModelConfig } from './config.ts'

const llama = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
}
const gpt2 = { model_type: 'gpt2', vocab_size: 96, n_embd: 32, n_head: 4, n_layer: 2 }

const llamaOf = (changes: object) => parseModelConfig({ ...llama, ...changes }) as LlamaConfig

test('what config.json leaves out is what transformers takes for it', () => {
  expect(parseModelConfig(llama)).toEqual({
    family: 'llama',
    vocabSize: 96,
    hiddenSize: 32,
    intermediateSize: 48,
    layers: 2,
    heads: 4,
    keyValueHeads: 4,
    headSize: 8,
    maxPositions: 2048,
    epsilon: 1e-6,
    hasTiedHead: false,
    ropeTheta: 10_000,
    ropeScaling: {
      type: 'default',
      factor: 1,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 2048,
    },
    hasQueryKeyValueBias: false,
    hasOutputBias: false,
    hasMlpBias: false,
    hasHeadNorms: false,
  })
  expect(parseModelConfig(gpt2)).toMatchObject({
    intermediateSize: 128,
    maxPositions: 1024,
    epsilon: 1e-5,
    hasTiedHead: true,
  })
})

test('rope settings are read from the keys of transformers 4 and of 5', () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 }
  const expected = llamaOf({ rope_theta: 500, rope_scaling: { rope_type: 'llama3', ...scaling } })
  expect(expected.ropeScaling).toMatchObject({ type: 'llama3', factor: 8, originalMaxPositions: 32 })
  expect(llamaOf({ rope_theta: 500, rope_scaling: { type: 'llama3', ...scaling } })).toEqual(expected)
  expect(llamaOf({ rope_parameters: { rope_type: 'llama3', rope_theta: 500, ...scaling } })).toEqual(expected)
  expect(llamaOf({ rope_scaling: null })).toEqual(llamaOf({}))
})

test.each([
  ['qwen2', undefined, { hasQueryKeyValueBias: true, hasOutputBias: false }],
  ['qwen2', false, { hasQueryKeyValueBias: true, hasOutputBias: false }],
  ['qwen2', true, { hasQueryKeyValueBias: true, hasOutputBias: false }],
  ['mistral', true, { hasQueryKeyValueBias: false, hasOutputBias: false }],
  ['llama', true, { hasQueryKeyValueBias: true, hasOutputBias: true }],
  ['llama', undefined, { hasQueryKeyValueBias: false, hasOutputBias: false }],
  ['qwen3', true, { hasQueryKeyValueBias: true, hasOutputBias: true }],
  ['qwen3', undefined, { hasQueryKeyValueBias: false, hasOutputBias: false }],
])('%s with attention_bias %s has the biases that transformers gives it', (model_type, attention_bias, expected) => {
  expect(llamaOf({ model_type, attention_bias })).toMatchObject({ ...expected, hasHeadNorms: model_type === 'qwen3' })
})

test('mlp_bias is a word of Llama alone', () => {
  for (const model_type of ['llama', 'mistral', 'qwen2', 'qwen3'])
    expect(llamaOf({ model_type, mlp_bias: true }).hasMlpBias).toBe(model_type === 'llama')
})

test('a window counts only where the model uses it', () => {
  const window = { sliding_window: 16, max_position_embeddings: 128 }
  const refused = expect.objectContaining({
    code: 'UNSUPPORTED_ARCHITECTURE',
    message: expect.stringContaining('sliding_window "16"'),
  })
  expect(() => llamaOf({ model_type: 'mistral', ...window })).toThrow(refused)
  expect(() => llamaOf({ model_type: 'qwen2', use_sliding_window: true, ...window })).toThrow(refused)
  for (const fine of [
    { model_type: 'qwen2', ...window },
    { model_type: 'qwen3', use_sliding_window: false, ...window },
    { model_type: 'mistral', sliding_window: null },
    { model_type: 'mistral', sliding_window: 128, max_position_embeddings: 128 },
    { model_type: 'llama', ...window },
  ])
    expect(llamaOf(fine).family).toBe('llama')
})

test.each([
  [{ num_attention_heads: 5 }, 'head size 6.4'],
  [{ num_attention_heads: 32 }, 'head size 1 is'],
  [{ head_dim: 7 }, 'head size 7'],
  [{ num_key_value_heads: 3 }, '4 heads do not share 3'],
  [{ num_key_value_heads: 8 }, '4 heads do not share 8'],
  [{ num_attention_heads: 0 }, 'num_attention_heads'],
  [{ num_hidden_layers: 1e6 }, 'num_hidden_layers'],
  [{ vocab_size: 1e12 }, 'vocab_size'],
  [{ hidden_size: '32' }, 'hidden_size'],
  [{ hidden_size: Number.NaN }, 'hidden_size'],
  [{ intermediate_size: undefined }, 'intermediate_size'],
  [{ rope_theta: -1 }, 'rope_theta'],
  [{ rope_parameters: { rope_type: 'linear' } }, '"linear" needs a factor'],
  [{ rope_scaling: { type: 'linear', factor: 0 } }, 'rope_scaling.factor'],
])('%j cannot be, and the message says what and what next', (changes, words) => {
  expect(() => parseModelConfig({ ...llama, ...changes }, 'some/config.json')).toThrow(
    expect.objectContaining({
      code: 'BAD_MODEL_CONFIG',
      message: expect.stringMatching(/^some\/config\.json: /),
      hint: expect.stringContaining('Pull'),
    }),
  )
  expect(() => llamaOf(changes)).toThrow(words)
})

test.each([
  [{ n_head: 5 }, 'n_embd 32 is not divisible by n_head 5'],
  [{ scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
])('GPT-2 with %j is refused', (changes, words) => {
  expect(() => parseModelConfig({ ...gpt2, ...changes })).toThrow(words)
})

test.each([
  [{ rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'the rope scaling "yarn"', 'default, linear, llama3'],
  [{ rope_scaling: { type: 'longrope' } }, 'the rope scaling "longrope"', 'default, linear, llama3'],
  [{ rope_parameters: { rope_type: 'dynamic', factor: 2 } }, 'the rope scaling "dynamic"', 'default, linear, llama3'],
  [{ hidden_act: 'gelu' }, 'hidden_act "gelu"', 'silu, swish'],
  [{ ...gpt2, activation_function: 'relu' }, 'activation_function "relu"', 'gelu_new, gelu_pytorch_tanh'],
])('%j is a sound file of another kind of model: what is supported is said', (changes, what, supported) => {
  expect(() => parseModelConfig({ ...llama, ...changes }, 'some/config.json')).toThrow(
    expect.objectContaining({
      code: 'UNSUPPORTED_ARCHITECTURE',
      message: `some/config.json: ${what} is not supported.`,
      hint: `Supported: ${supported}. Choose another model.`,
    }),
  )
})

test('an unknown architecture gets the list of those that are known, and the nearest', () => {
  const code = 'UNSUPPORTED_ARCHITECTURE'
  const refusal = (hint: string) => expect.objectContaining({ code, hint: expect.stringContaining(hint) })
  expect(() => parseModelConfig({ ...llama, model_type: 'mamba' })).toThrow(
    refusal('llama, mistral, qwen2, qwen3, gpt2'),
  )
  expect(() => parseModelConfig({ ...llama, model_type: 'lama' })).toThrow(refusal('Did you mean llama?'))
  for (const odd of [undefined, null, 3, ['llama', 'x'], 'toString'])
    expect(() => parseModelConfig({ ...llama, model_type: odd })).toThrow(refusal('Supported'))
})
