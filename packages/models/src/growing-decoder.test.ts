import { expect, test } from 'vitest'
import { parseModelConfig } from './config.ts'
import { createDecoder } from './decoder.ts'
import { createGrowingDecoder } from './growing-decoder.ts'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'

const raw = { ...randomModelConfigs.llama, max_position_embeddings: 4096 }
const { parameters } = randomModel(raw)
const config = parseModelConfig(raw)

test('one decoder serves until a sequence outgrows it, and never exceeds the positions of the model', async () => {
  const growing = createGrowingDecoder(config, parameters)
  const first = await growing.forLength(20)
  expect(await growing.forLength(first.length)).toBe(first)
  const second = await growing.forLength(first.length + 1)
  expect(second).not.toBe(first)
  expect(second.length).toBeGreaterThan(2 * first.length)
  expect(await growing.forLength(5)).toBe(second)
  expect((await growing.forLength(4096)).length).toBe(4096)
  await growing.dispose()
  await growing.dispose()
})

test('what was read before, and how long the decoder is, change no score', async () => {
  const growing = createGrowingDecoder(config, parameters)
  const used = await growing.forLength(8)
  await used.prefill(0, [[9, 8, 7, 6, 5, 4, 3]], [1])
  await used.step([5], [7], [1])
  const prompt = [1, 2, 3]
  const fresh = await createDecoder(config, parameters, { slots: 1, length: 8 })
  const expected = await fresh.prefill(0, [prompt], [1])
  expect(await used.prefill(0, [prompt], [1])).toEqual(expected)
  expect(await used.step([4], [3], [1])).toEqual(await fresh.step([4], [3], [1]))
  await fresh.dispose()
  await growing.dispose()
})
