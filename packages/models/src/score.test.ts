import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { randomModel, randomModelConfigs } from './random-model.test-support.ts'
import { createScorer, lengthSortedBatches } from './score.ts'

const { config, parameters } = randomModel(randomModelConfigs.llama)
const scorer = await createScorer(config, parameters)
afterAll(() => scorer.dispose())

const ids = (length: number, first = 3) => Array.from({ length }, (_, i) => (first + 7 * i) % 60)

test('one log-probability for each completion token, none for an empty completion', async () => {
  const rows = [
    { promptIds: [5, 6], completionIds: [7, 8, 9] },
    { promptIds: [5], completionIds: [] },
    { promptIds: [], completionIds: [] },
    { promptIds: [5], completionIds: [11] },
  ]
  const scored = await scorer.logprobs(rows)
  expect(scored.map(({ length }) => length)).toEqual([3, 0, 0, 1])
  for (const logprob of scored.flatMap((each) => [...each])) expect(logprob).toBeLessThan(0)
  expect((await scorer.logprobs(rows.slice(1, 3))).map(({ length }) => length)).toEqual([0, 0])
  expect(await scorer.logprobs([])).toEqual([])
})

test('the probabilities of all next tokens sum to one', async () => {
  const scored = await scorer.logprobs(
    Array.from({ length: config.vocabSize }, (_, token) => ({ promptIds: [4, 20, 33], completionIds: [token] })),
  )
  expect(scored.reduce((sum, [logprob]) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 5)
})

test('where the prompt ends changes nothing: the last logprobs of a longer completion are those of a shorter one', async () => {
  const text = ids(12)
  const rows = [1, 4, 11].map((end) => ({ promptIds: text.slice(0, end), completionIds: text.slice(end) }))
  const [whole, ...parts] = await scorer.logprobs(rows)
  for (const part of parts)
    part.forEach((logprob, i) => {
      expect(logprob).toBeCloseTo(whole[whole.length - part.length + i], 5)
    })
})

test('many rows of many lengths come back in their order, equal to each alone', async () => {
  const rows = Array.from({ length: 90 }, (_, i) => ({
    promptIds: ids(1 + (i % 5), i),
    completionIds: ids((i * 13) % 50, i),
  }))
  const together = await scorer.logprobs(rows)
  for (const i of [0, 1, 17, 45, 89]) {
    const [alone] = await scorer.logprobs([rows[i]])
    expect(together[i]).toHaveLength(rows[i].completionIds.length)
    alone.forEach((logprob, token) => {
      expect(together[i][token]).toBeCloseTo(logprob, 5)
    })
  }
})

test('weights that change are seen at the next call', async () => {
  const model = randomModel(randomModelConfigs.qwen2)
  const own = await createScorer(model.config, model.parameters)
  const rows = [{ promptIds: [4], completionIds: [5] }]
  const [[before]] = await own.logprobs(rows)
  model.parameters.get('lm_head.weight')!.data.fill(0)
  const [[after]] = await own.logprobs(rows)
  expect(after).toBeCloseTo(-Math.log(60), 5)
  expect(after).not.toBeCloseTo(before, 3)
  await own.dispose()
})

test('rows that cannot be scored are named', async () => {
  await expect(
    scorer.logprobs([
      { promptIds: [4], completionIds: [4] },
      { promptIds: [], completionIds: [4] },
    ]),
  ).rejects.toMatchObject({ code: 'EMPTY_PROMPT', message: expect.stringContaining('row 2') })
  const long = { promptIds: ids(40), completionIds: ids(25) }
  await expect(scorer.logprobs([{ promptIds: [4], completionIds: [4] }, long])).rejects.toMatchObject({
    code: 'SEQUENCE_TOO_LONG',
    message: 'row 2 has 65 tokens; the model has 64 positions.',
  })
  expect((await scorer.logprobs([{ ...long, completionIds: ids(24) }]))[0]).toHaveLength(24)
})

test('a model without a head over the vocabulary cannot score', async () => {
  const model = randomModel(randomModelConfigs.qwen2)
  const headless = new Map([...model.parameters].filter(([name]) => name !== 'lm_head.weight'))
  await expect(createScorer(model.config, headless)).rejects.toMatchObject({ code: 'NOT_A_LANGUAGE_MODEL' })
})

test('batches hold each sequence once, by length, and no more tokens than asked where they can', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { maxLength: 50 }), fc.integer({ min: 1, max: 200 }), (lengths, tokens) => {
      const batches = lengthSortedBatches(lengths, tokens)
      expect(batches.flat().toSorted((a, b) => a - b)).toEqual(lengths.map((_, index) => index))
      const sorted = batches.flat().map((index) => lengths[index])
      expect(sorted).toEqual(sorted.toSorted((a, b) => b - a))
      for (const batch of batches)
        if (batch.length > 1) expect(batch.length * lengths[batch[0]]).toBeLessThanOrEqual(tokens)
    }),
  )
})
