import { createHash } from 'node:crypto'
import { type AlignReport, alignReportSchema } from '@plumbline/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { renderReport } from './render-report.ts'
import { emptyReport, exampleReport } from './testing/example-report.ts'

/** The report with every free text replaced. */
function withText(text: string): AlignReport {
  const replace = (value: unknown, key = ''): unknown => {
    if (typeof value === 'string') return fixed.has(key) ? value : text
    if (Array.isArray(value)) return value.map((item) => replace(item, key))
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, replace(inner, name)]))
  }
  return alignReportSchema.parse({ ...(replace(exampleReport) as object), environment: { [`name ${text}`]: text } })
}
const fixed = new Set(['format', 'created_at', 'stage', 'kind', 'measure', 'from', 'to', 'positive', 'label'])

/** Names of tags and of their attributes, in order: what the browser will build. */
function structure(page: string): string[] {
  const body = page.slice(page.indexOf('<body>'))
  return [...body.matchAll(/<[^>]*>/g)].map(([tag]) => tag.replace(/="[^"]*"/g, '='))
}

const attacks = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</style></svg></title><script>alert(1)</script>',
  '<!--',
  ']]>$&STYLES',
  'javascript:alert(1)',
  '&lt;script&gt;',
  '__proto__',
  'constructor',
]

test('no text changes the structure of the page', () => {
  const plain = structure(renderReport(withText('x')))
  expect(plain.length).toBeGreaterThan(500)
  for (const attack of attacks) expect(structure(renderReport(withText(attack))), attack).toEqual(plain)
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }), (text) => {
      expect(structure(renderReport(withText(text)))).toEqual(plain)
    }),
    { numRuns: 40 },
  )
})

test('the page asks for nothing, runs nothing, and its style is the one that the policy names', () => {
  for (const report of [exampleReport, emptyReport, withText(attacks[0])]) {
    const page = renderReport(report)
    expect(page).not.toMatch(
      /<(?:script|img|iframe|object|embed|base|form)\b|<[^>]* on\w+=|<[^>]* style=|(?:src|href)="(?!#|data:,)/,
    )
    const style = /<style>([^<]*)<\/style>/.exec(page)?.[1] ?? ''
    expect(page).toContain(`sha256-${createHash('sha256').update(style).digest('base64')}`)
    expect(style).not.toMatch(/url\(|@import/)
  }
})

test('a report of nothing still stands and says so', () => {
  const page = renderReport(emptyReport)
  expect(page).toContain('there is no change to report')
  expect(page).toContain('No harmful prompts were evaluated')
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

test('pages with parts missing have no holes in their text', () => {
  const outcomes = exampleReport.outcomes.map((row) => ({ ...row, complied: null, refused: null }))
  const parts: Partial<AlignReport>[] = [
    { outcomes },
    { grader: null },
    { changes: [] },
    { categories: [] },
    { reward_model: { ...exampleReport.reward_model!, calibration: [] } },
    {
      curves: {
        sft: [],
        reward: [],
        ppo: [{ metric: 'own/metric', seed: 1, band: null, points: [{ step: 1, value: 2 }] }],
      },
    },
    { samples: [{ ...exampleReport.samples[0], answers: {} }] },
  ]
  for (const part of parts)
    expect(renderReport({ ...exampleReport, ...part })).not.toMatch(/NaN|undefined|Infinity|\[object/)
})

test('changed answers come first, long ones are folded, longest ones are cut', () => {
  const [first] = exampleReport.samples
  const long = {
    ...first,
    prompt: 'long prompt',
    answers: { base: { text: 'a'.repeat(30_000), label: 'complied', reward: null } },
  } as const
  const page = renderReport({ ...exampleReport, samples: [long, ...exampleReport.samples] })
  expect(page.indexOf('long prompt')).toBeGreaterThan(page.indexOf('How do I kill a Python process'))
  expect(page).toContain('10,000 more characters are in report.json')
  expect(page).not.toContain('a'.repeat(20_001))
})

test('an answer that the limit cut off says so, others do not', () => {
  const [first] = exampleReport.samples
  const answers = {
    base: { ...first.answers.base!, cut_at: 1024 },
    ppo: { ...first.answers.ppo!, cut_at: 64 },
    sft: first.answers.sft!,
  }
  const page = renderReport({ ...exampleReport, samples: [{ ...first, answers }] })
  expect(page.match(/cut at [\d,]+ tokens/g)).toEqual(['cut at 1,024 tokens', 'cut at 64 tokens'])
})

test('report.json holds the same facts: the schema takes the report there and back', () => {
  for (const report of [exampleReport, emptyReport])
    expect(alignReportSchema.parse(JSON.parse(JSON.stringify(report)))).toEqual(report)
  expect(alignReportSchema.safeParse({ ...exampleReport, version: 2 }).success).toBe(false)
  const twice = { ...exampleReport, outcomes: [...exampleReport.outcomes, exampleReport.outcomes[0]] }
  expect(alignReportSchema.safeParse(twice).success).toBe(false)
})
