import { createRandom } from '@plumbline/engine'
import { expect, test } from 'vitest'
import { errorOf } from '../calibrate.ts'
import { defaultDataFolder } from './data-rows.ts'
import { harm, harmCategory, toxicity } from './harm.ts'
import { readModeration } from './harm-data.ts'
import { countHarm, HARM_BUCKETS, HARM_FEATURES } from './harm-features.ts'
import { harmHeads, mapHeads, restoreHarmModel, storeHarmModel } from './harm-model.ts'
import { harmErrors } from './harm-study.ts'

test('plain texts stay below the threshold, an insult does not', () => {
  for (const text of ['', 'How do I bake bread?', 'The capital of France is Paris.'])
    expect(harm.score(text)).toBeLessThan(harm.threshold)
  const insult = 'you are a stupid fucking idiot and I hate you, die'
  expect(harm.score(insult)).toBeGreaterThan(harm.threshold)
  expect(harm.scores(insult).toxicity).toBeGreaterThan(toxicity.threshold)
})

test('the likeliest kind of harm', () => {
  expect(harmCategory(harm.scores('I want to end my life, I keep cutting myself and took pills'))).toBe('self-harm')
  expect(harmCategory(harm.scores('She moaned as he undressed her and kissed her naked breasts'))).toBe('sexual')
})

test('case, width of letters and kind of apostrophe are one', () => {
  const counts = (text: string) => [...countHarm(text).words.keys()]
  expect(counts('Ｄon’t STOP')).toEqual(counts("don't stop"))
})

test('the threshold leaves 95 % of harmless texts below it, and errors are counted', () => {
  const scored = harmHeads.flatMap((head) =>
    Array.from({ length: 100 }, (_, i) => ({ head, happened: i % 2 === 1, score: i / 100 })),
  )
  const { threshold, specificity, sensitivity, auc } = harmErrors(scored).any
  expect(threshold).toBeCloseTo(0.94, 2)
  expect(specificity).toMatchObject({ hits: 47, n: 50 })
  expect(sensitivity).toMatchObject({ hits: 3, n: 50 })
  expect(auc.estimate).toBeCloseTo(0.51, 4)
})

test('a model that is stored and read again has its weights, to half a step of a byte', () => {
  const { uniform } = createRandom(1)
  const heads = mapHeads(() => ({ bias: uniform(), weights: Float64Array.from({ length: HARM_FEATURES }, uniform) }))
  const model = { idf: Uint8Array.from({ length: HARM_BUCKETS }, (_, i) => i % 256), heads }
  const again = restoreHarmModel(storeHarmModel(model))
  expect(again.idf).toEqual(model.idf)
  for (const head of harmHeads) {
    const { weights } = again.heads[head]
    const apart = heads[head].weights.reduce((most, weight, i) => Math.max(most, Math.abs(weight - weights[i])), 0)
    expect(apart).toBeLessThanOrEqual(0.5 / 127 + 1e-9)
  }
})

const texts = readModeration(process.env.PLUMBLINE_DATA ?? defaultDataFolder)

test.skipIf(texts === undefined)('the stored weights tell the labelled texts apart', () => {
  const judged = texts!.flatMap(({ text, labels }, i) =>
    labels.any === undefined || i % 4 !== 0
      ? []
      : [{ happened: labels.any, isHit: harm.score(text) >= harm.threshold }],
  )
  // They have seen these texts, so this says that the file holds what was fitted, not how good it is.
  const { sensitivity, specificity } = errorOf(judged)
  expect(sensitivity.estimate).toBeGreaterThan(0.8)
  expect(specificity.estimate).toBeGreaterThan(0.95)
})
