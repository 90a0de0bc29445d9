import { expect, test } from 'vitest'
import { chartsOf } from './metric-facts.ts'

const series = (metric: string, value: number | null = 1, band: string | null = null) => ({
  metric,
  seed: null,
  band,
  points: [{ step: 1, value }],
})

test('held-out rows stand beside the training rows; what says most comes first, the unknown last', () => {
  const { main, others } = chartsOf([
    series('val/ratio'),
    series('grad_norm'),
    series('loss'),
    series('__proto__'),
    series('eval_loss', 2),
    series('eval_accuracy', 0.5),
  ])
  expect(main.map(({ title }) => title)).toEqual(['Loss', 'Accuracy', 'Gradient norm'])
  expect(main[0].curves.map(({ name }) => name)).toEqual(['train', 'held-out'])
  expect(main[1].curves.map(({ isHeldOut }) => isHeldOut)).toEqual([true])
  expect(main[1].format(0.5)).toBe('50.0 %')
  expect(others.map(({ title }) => title)).toEqual(['val/ratio', '__proto__'])
})

test('what cannot be placed is a gap; a band is explained; a name of any length and kind is a title', () => {
  const [chart] = chartsOf([series('loss', 1e300, 'lowest and highest of each 2 values')]).main
  expect(chart.curves[0].points).toEqual([{ step: 1, value: null }])
  expect(chart.unit).toBe('nats; band: lowest and highest of each 2 values')
  const [odd] = chartsOf([series(`\u202e${'x'.repeat(100)}`)]).others
  expect(odd.title).toMatch(/^⟨U\+202E⟩x{58}…$/)
})
