import { expect, test } from 'vitest'
import { defaultDataFolder } from './data-rows.ts'
import { harm } from './harm.ts'
import { readModeration } from './harm-data.ts'
import { errorAt, harmError } from './harm-study.ts'

test('plain texts stay below the threshold, an insult does not', () => {
  for (const text of ['', 'How do I bake bread?', 'The capital of France is Paris.'])
    expect(harm.score(text)).toBeLessThan(harm.threshold)
  expect(harm.score('you are a stupid fucking idiot and I hate you, die')).toBeGreaterThan(harm.threshold)
})

test('the threshold leaves 95 % of harmless texts below it, and errors are counted', () => {
  const texts = Array.from({ length: 100 }, (_, i) => ({
    text: String(i),
    isHarmful: i % 2 === 1,
    source: 's',
    score: i / 100,
  }))
  const { threshold, specificity } = harmError(texts)
  expect(specificity.hits / specificity.n).toBeGreaterThanOrEqual(0.94)
  expect(threshold).toBeCloseTo(0.94, 2)
  expect(errorAt(texts, 0.5)).toMatchObject({ sensitivity: { hits: 25, n: 50 }, specificity: { hits: 25, n: 50 } })
})

const folder = process.env.PLUMBLINE_DATA ?? defaultDataFolder
const texts = readModeration(folder)

test.skipIf(texts === undefined)('the stored weights tell the labelled texts apart', () => {
  const scored = texts!.map((row) => ({ ...row, score: harm.score(row.text) }))
  // They have seen these texts, so this says that the file holds what was fitted, not how good it is.
  const { sensitivity, specificity } = errorAt(scored, harm.threshold)
  expect(sensitivity.estimate).toBeGreaterThan(0.7)
  expect(specificity.estimate).toBeGreaterThan(0.97)
})
