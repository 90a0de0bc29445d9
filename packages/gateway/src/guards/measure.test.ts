import { expect, test } from 'vitest'
import { quietWorld } from './answer-filter.test-support.ts'
import { measureGuards } from './measure.ts'
import { readGuards } from './read-guards.ts'

test('right and wrong calls are counted, each guard by itself; what fails is in neither', async () => {
  const { guards } = readGuards(
    [
      { kind: 'rules', mode: 'block', keywords: ['bad'] },
      { kind: 'personal-data', mode: 'redact', kinds: ['email'] },
      { kind: 'http', mode: 'block', url: 'http://guard.example' },
    ],
    quietWorld,
  )
  const texts = [
    { prompt: '', text: 'a bad thing', isBad: true },
    { prompt: 'x', text: 'nasty, a@b.example', isBad: true },
    { prompt: '', text: 'bad luck', isBad: false },
    { prompt: '', text: 'fine', isBad: false },
    { prompt: '', text: 'good', isBad: false },
  ]
  const [rules, data, http] = await measureGuards(guards, texts, () => {})
  expect(rules).toMatchObject({ sensitivity: { hits: 1, n: 2 }, specificity: { hits: 2, n: 3 }, errors: 0 })
  expect(data).toMatchObject({ sensitivity: { hits: 1, n: 2 }, specificity: { hits: 3, n: 3 }, errors: 0 })
  expect(http).toMatchObject({ sensitivity: null, specificity: null, errors: 5 })
})
