import { expect, test } from 'vitest'
import { draw } from './evaluation/draw.ts'
import { readMonitoring } from './plan.ts'
import { rangeOf } from './routes.ts'
import { settingsInForce } from './settings-in-force.ts'

const wrong = (config: unknown, env = {}) => {
  try {
    readMonitoring(config, env)
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

const head = (record: string, isGuarded = false) => ({
  ...{ record, project: 'p', at: '2026-01-01T00:00:00.000Z', model: null, config: null, bytes: 1 },
  ...{ isRedacted: false, hasAnswer: true, isGuarded },
})

test('what is wrong with a configuration is told with its place', () => {
  expect(wrong({ evaluators: ['harms'] })).toContain('harms')
  expect(wrong({ sample: 0 })).toContain('sample')
  expect(wrong({ alarm: {} })).toContain('alarm')
  const webhook = { url: 'http://169.254.169.254/latest', secret_env: 'HOOK' }
  expect(wrong({ alarms: { webhook } }, { HOOK: 'x'.repeat(32) })).toContain('alarms.webhook.url')
  expect(wrong({ alarms: { webhook: { ...webhook, url: 'https://a.example' } } })).toContain('HOOK')
  expect(wrong({ alarms: { webhook: { ...webhook, url: 'https://a.example' } } }, { HOOK: 'short' })).toContain('HOOK')
  expect(wrong({ counterfactual: { sample: 1 } })).toContain('counterfactual.url')
  expect(wrong({ counterfactual: { url: 'http://169.254.169.254/v1' } })).toContain('counterfactual.url')
  expect(wrong({ counterfactual: { url: 'https://a.example/v1', key_env: 'NONE' } })).toContain('NONE')
  expect(wrong({ counterfactual: { url: 'https://a.example/v1', projects: ['No Project'] } })).toContain('projects')
  expect(wrong({ counterfactual: { url: 'https://a.example/v1', evaluators: ['judge'] } })).toContain('evaluators')
  const email = { smtp: 'smtp://u:password@h', from: 'a@b.example', to: ['c@d.example'] }
  expect(wrong({ alarms: { email } })).toContain('password_env')
  expect(wrong({ alarms: { email: { ...email, smtp: 'smtp://h', to: ['x\r\nBcc: y@z.example'] } } })).toContain('to')
  expect(wrong({ review: { labels: { harms: ['harmful'] } } })).toContain('review.labels: there is no harms')
  expect(wrong({ review: { labels: { harm: ['Harmful!'] } } })).toContain('review.labels.harm')
  expect(wrong({ review: { labels: { judge: ['harmful/self-harm'] } } })).toBe('accepted')
  expect(wrong(undefined)).toBe('accepted')
})

test('the budget of false alarms is divided among the monitors', () => {
  const { watch } = readMonitoring({ evaluators: ['harm', 'refusal'], alarms: { false_alarms_per_year: 6 } }, {})
  expect(watch.falseAlarmsPerYear).toBe(2)
})

test('a draw is the same each time, keeps its share, and is halved under load', () => {
  const heads = Array.from({ length: 4000 }, (_, i) => head(`r${i}`, i % 100 === 0))
  const sampling = { sample: 0.1, sampleGuarded: 1, most: 1e9 }
  const drawn = draw(heads, 'records', sampling)
  expect(draw(heads, 'records', sampling)).toEqual(drawn)
  const even = drawn.filter(({ isEven }) => isEven)
  expect(even.length / 4000).toBeCloseTo(0.1, 1)
  expect(drawn.filter(({ head, isDrawn }) => head.isGuarded && !isDrawn)).toEqual([])
  const loaded = draw(heads, 'records', { ...sampling, most: 120 })
  expect(new Set(loaded.map(({ probability }) => probability))).toEqual(new Set([0.25, 0.025]))
})

test.each([
  { sample: 0.05, most: 20 },
  { sample: 0.2, most: 100 },
  { sample: 0.07, most: 100 },
])('a full batch is judged at the share that was asked for: $sample', ({ sample, most }) => {
  const full = Array.from({ length: Math.floor(most / sample) }, (_, i) => head(`r${i}`))
  const drawn = draw(full, 'records', { sample, sampleGuarded: sample, most })
  expect(new Set(drawn.map(({ probability }) => probability))).toEqual(new Set([sample]))
})

test('a range without an end, or without both', () => {
  const now = Date.UTC(2026, 1, 10, 12)
  expect(rangeOf({}, now)).toEqual({ from: '2026-01-12', to: '2026-02-10' })
  expect(rangeOf({ to: '2026-01-30' }, now)).toEqual({ from: '2026-01-01', to: '2026-01-30' })
  expect(rangeOf({ from: '2026-02-01' }, now)).toEqual({ from: '2026-02-01', to: '2026-02-10' })
})

test('what is in force is told without what may be secret', () => {
  const settings = {
    facts: [{ about: 'our office', value: 'Vienna' }],
    judge: {
      url: 'https://judge.example:8443/hidden1?key=hidden2',
      model: 'm',
      policy: 'p',
      key_env: 'KEY',
    },
    counterfactual: { url: 'https://up.example/hidden4/v1' },
    alarms: {
      webhook: { url: 'https://hooks.example/hidden5', secret_env: 'HOOK' },
      email: { smtp: 'smtp://hidden6@mail.example:587', from: 'a@b.example', to: ['c@d.example'] },
    },
  }
  const plan = readMonitoring(settings, { KEY: 'hidden7', HOOK: 'hidden8'.padEnd(32) })
  const shown = settingsInForce(plan.settings)
  expect(shown.settings).toMatchObject({
    evaluators: ['harm', 'toxicity', 'refusal', 'personal-data'],
    facts: 1,
    canaries: 0,
    judge: { url: 'https://judge.example:8443', key_env: 'KEY', sample: 0.05 },
    counterfactual: { url: 'https://up.example' },
    alarms: {
      webhook: { url: 'https://hooks.example', secret_env: 'HOOK' },
      email: { smtp: 'smtp://mail.example:587', to: ['c@d.example'] },
    },
  })
  expect(JSON.stringify(shown)).not.toContain('hidden')
  expect(settingsInForce(readMonitoring({}, {}).settings).settings).not.toHaveProperty('judge')
})
