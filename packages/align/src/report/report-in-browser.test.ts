import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { AlignReport } from '@plumbline/contracts'
import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderReport } from './render-report.ts'
import { chromiumPath } from './testing/chromium.ts'
import { emptyReport, exampleReport } from './testing/example-report.ts'

const why = chromiumPath === undefined ? ' (skipped: no chromium is installed)' : ''

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

const attack =
  '"><script>window.hacked=1</script><img src=x onerror="window.hacked=1"><svg onload="window.hacked=1">\u202e'
const word = 'W'.repeat(400)
/** Each width and each scheme once. */
const looks = [
  [390, 'dark'],
  [1280, 'light'],
] as const

const hostile: AlignReport = {
  ...exampleReport,
  title: attack,
  model: word,
  config: attack + word,
  warnings: [attack, word],
  commands: [{ purpose: attack, command: word }],
  environment: { [attack]: word },
  data: [{ role: word, name: word, n: 1, sha256: attack }],
  categories: exampleReport.categories.map((row) => ({ ...row, category: row.category + word })),
  curves: { sft: [], reward: [], ppo: [{ metric: attack, seed: null, band: word, points: [{ step: 0, value: 1 }] }] },
  samples: exampleReport.samples.map((sample) => ({
    ...sample,
    prompt: attack,
    category: word,
    answers: {
      base: { text: attack, label: 'complied', reward: 1e9, cut_at: 1e9 },
      ppo: { text: word.repeat(4), label: 'error', reward: null },
    },
  })),
}

describe.skipIf(chromiumPath === undefined)(`the report in a browser${why}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-report-'))
  let browser: Browser

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: chromiumPath!, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser.close()
    rmSync(folder, { recursive: true })
  })

  /** Opens the report from disk; `complaints` collects what the console, the page and the network say. */
  async function open(report: AlignReport, width: number, colorScheme: 'light' | 'dark' = 'light') {
    const file = join(folder, 'report.html')
    writeFileSync(file, renderReport(report))
    // axe is put in by the test; the page itself allows no script.
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith('file:') && request.url() !== 'data:,') complaints.push(`asks for ${request.url()}`)
    })
    await page.goto(pathToFileURL(file).href)
    return { page, complaints }
  }

  const openAll = (page: Page) =>
    page.evaluate(() => {
      for (const one of document.querySelectorAll('details')) one.open = true
    })
  const tooWide = (page: Page) =>
    page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

  for (const [name, report] of Object.entries({ example: exampleReport, empty: emptyReport, hostile })) {
    for (const [width, scheme] of looks)
      test(`${name}, ${width} px, ${scheme}: no complaint, no scrolling sideways, accessible`, async () => {
        const { page, complaints } = await open(report, width, scheme)
        await openAll(page)
        expect(complaints).toEqual([])
        expect(await tooWide(page)).toBe(0)
        await page.evaluate(axe.source)
        const violations: Violation[] = await page.evaluate('axe.run().then((result) => result.violations)')
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`)).toEqual([])
        await page.close()
      })
  }

  test('hostile text is shown, not obeyed', async () => {
    const { page } = await open(hostile, 1280)
    expect(await page.evaluate('window.hacked')).toBeUndefined()
    expect(await page.locator('script, img, iframe, [onerror], [onload]').count()).toBe(0)
    expect(await page.locator('h1').textContent()).toBe(attack.replace('\u202e', '⟨U+202E⟩'))
    await page.close()
  })

  for (const width of [390, 1280])
    test(`each link of the navigation brings its section to the top, ${width} px`, { timeout: 60_000 }, async () => {
      const samples = Array.from({ length: 24 }, (_, i) => exampleReport.samples[i % exampleReport.samples.length])
      const { page } = await open({ ...exampleReport, samples }, width)
      await page.emulateMedia({ reducedMotion: 'reduce' })
      for (const id of ['summary', 'changes', 'categories', 'answers', 'training', 'reward', 'setup']) {
        await page.evaluate(() => scrollTo(0, 0))
        await page.locator(`nav a[href="#${id}"]`).click()
        const missedBy = await page.evaluate((id) => {
          const section = document.getElementById(id)!
          const toScroll = document.documentElement.scrollHeight - innerHeight - scrollY
          const below =
            section.getBoundingClientRect().top - Number.parseFloat(getComputedStyle(section).scrollMarginTop)
          // The last section may be too short to reach the top.
          return Math.abs(Math.min(below, toScroll))
        }, id)
        expect(missedBy, id).toBeLessThan(1)
      }
      await page.close()
    })

  test('the filters choose samples without a script', async () => {
    const { page } = await open(exampleReport, 1280)
    const shown = () => page.locator('.sample:visible').count()
    expect(await shown()).toBe(5)
    await page.locator('#show-harmful').check()
    expect(await shown()).toBe(2)
    await page.locator('#show-all').check()
    await page.locator('#show-same').check()
    expect(await shown()).toBe(1)
    await page.close()
  })
})
