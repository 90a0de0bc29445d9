/** A shortened main job on the real model: a few rows of the example set, all stages, and the report in a browser. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { alignReportSchema } from '@plumbline/contracts'
import { chromium } from 'playwright-core'
import { afterAll, expect, test } from 'vitest'
import { chromiumPath } from '../../packages/align/src/report/testing/chromium.ts'
import { runCli } from '../../packages/plumbline/src/cli.ts'
import { commands } from '../../packages/plumbline/src/commands.ts'
import { takeGlobals } from '../../packages/plumbline/src/flags.ts'
import { createMemoryWorld } from '../../packages/plumbline/src/memory-world.ts'
import { smollm2Path } from './smollm2.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-main-job-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The first `each` rows of every kind that fit, as a file of its own. */
function part(name: string, each: number, fits: (row: { split?: string }) => boolean = () => true): string {
  const lines = readFileSync(resolve(import.meta.dirname, '../../examples/refusals', name), 'utf8')
    .trimEnd()
    .split('\n')
  const rows = lines.map((line) => JSON.parse(line)).filter(fits)
  const kinds = Object.values(Object.groupBy(rows, ({ kind }) => kind))
  const path = join(folder, `${each}-${name}`)
  writeFileSync(path, kinds.flatMap((kind) => kind!.slice(0, each).map((row) => `${JSON.stringify(row)}\n`)).join(''))
  return path
}

const output = join(folder, 'run')
const readReport = () => alignReportSchema.parse(JSON.parse(readFileSync(join(output, 'report.json'), 'utf8')))

test('the reward rises on the real model, and there is a report', { timeout: 600_000 }, async () => {
  const data = {
    '--model': await smollm2Path(),
    '--demonstrations': part('demonstrations.jsonl', 6),
    '--preferences': part('preferences.jsonl', 6),
    '--prompts': part('prompts.jsonl', 4, ({ split }) => split === 'train'),
    '--eval-prompts': part('prompts.jsonl', 2, ({ split }) => split === 'eval'),
    '--output': output,
  }
  // Every rollout is of the same prompts, so that the scores of one can be compared with another's.
  const size = [
    '--max-new-tokens',
    '16',
    '--sft-opening-epochs',
    '1',
    '--ppo-iterations',
    '4',
    '--ppo-batch-size',
    '24',
    '--ppo-learning-rate',
    '2e-4',
  ]
  const { globals, rest } = takeGlobals(['align', ...Object.entries(data).flat(), ...size, '--json'])
  const { world, stderr } = createMemoryWorld(globals, { cwd: folder })
  expect(await runCli(rest, globals, commands, world), stderr()).toBe(0)

  const report = readReport()
  const scores = report.curves.ppo
    .find(({ metric }) => metric === 'objective/scores')!
    .points.map(({ value }) => value!)
  expect(scores).toHaveLength(4)
  expect(scores.at(-1)!, `scores ${scores}`).toBeGreaterThan(scores[0])
})

const why = chromiumPath === undefined ? ' (skipped: no chromium is installed)' : ''

test.skipIf(chromiumPath === undefined)(`the report of that job opens in a browser${why}`, async () => {
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] })
  try {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('pageerror', ({ message }) => complaints.push(message))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    await page.goto(pathToFileURL(join(output, 'report.html')).href)
    expect(await page.locator('h1').innerText()).toBe(readReport().title)
    expect(await page.locator('svg').count()).toBeGreaterThan(3)
    expect(complaints).toEqual([])
  } finally {
    await browser.close()
  }
})
