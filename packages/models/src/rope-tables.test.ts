import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type LlamaConfig, parseModelConfig } from './config.ts'
import { ropeTables } from './rope-tables.ts'

interface Golden {
  readonly headDim: number
  readonly rope: Readonly<Record<string, unknown>>
  readonly frequencies: { readonly data: readonly number[] }
}

const { ropeFrequencies }: { ropeFrequencies: Golden[] } = JSON.parse(
  readFileSync(new URL('../../../tests/golden/ops.json', import.meta.url), 'utf8'),
)

const configOf = ({ headDim, rope }: Golden) =>
  parseModelConfig({
    model_type: 'llama',
    vocab_size: 8,
    hidden_size: 2 * headDim,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    rope_parameters: rope,
  }) as LlamaConfig

test.each(ropeFrequencies)('angles of $rope are those of transformers', (golden) => {
  const positions = 600
  const { cos, sin } = ropeTables(configOf(golden), positions)
  const width = golden.headDim / 2
  expect(cos).toHaveLength(positions * width)
  golden.frequencies.data.forEach((frequency, i) => {
    expect(cos[i]).toBe(1)
    expect(sin[i]).toBe(0)
    // At position 1 the angle is the frequency itself, below π.
    expect(Math.atan2(sin[width + i], cos[width + i]) / frequency).toBeCloseTo(1, 6)
    const angle = Math.fround(599 * Math.fround(frequency))
    expect(cos[599 * width + i]).toBeCloseTo(Math.cos(angle), 4)
    expect(sin[599 * width + i]).toBeCloseTo(Math.sin(angle), 4)
  })
})
