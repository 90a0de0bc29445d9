import { existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { chromiumPath } from '../../packages/align/src/report/testing/chromium.ts'
import type { BenchOptions, Section } from '../bench.ts'
import type { Figure, Measurement } from '../figure.ts'
import { adminKey, withServing } from '../gateway/serving.ts'
import { fillStore } from './filled-store.ts'

const overviewData: Figure = {
  name: 'overview_data_ms',
  title: 'data of the overview page over 1,000,000 records, 30 days',
  unit: 'ms',
  better: 'lower',
  goal: { atMost: 300 },
}
const firstPaint: Figure = {
  name: 'first_paint_ms',
  title: 'first paint of the overview in chromium over 1,000,000 records',
  unit: 'ms',
  better: 'lower',
  goal: { atMost: 1000 },
}

const fullSize = 1_000_000
const quickSize = 20_000
const calls = 30
const visits = 9

/** The real `plumb serve` on a filled embedded store, in a process of its own. */
export const dashboard: Section<Pick<BenchOptions, 'isQuick' | 'filled' | 'log'>> = {
  figures: [overviewData, firstPaint],
  run: async ({ isQuick, filled, log }, record, isWanted) => {
    const size = isQuick ? quickSize : fullSize
    const folder = filled ?? (await mkdtemp(join(tmpdir(), 'dashboard-bench-')))
    try {
      await fillUnlessThere(join(folder, 'store'), size, log)
      const details = { records: size }
      await withServing({ folder }, async ({ target: { origin } }) => {
        if (isWanted(overviewData)) record(overviewData, { ours: await timeCalls(origin), details })
        if (!isWanted(firstPaint)) return
        if (chromiumPath !== undefined) record(firstPaint, await timePaints(chromiumPath, origin, details))
        else log('first_paint_ms is left out: no chromium is installed')
      })
    } finally {
      if (filled === undefined) await rm(folder, { recursive: true, force: true })
    }
  },
}

/** A store that is there is taken for a whole one: it gets its name when it is full. */
async function fillUnlessThere(store: string, size: number, log: (text: string) => void): Promise<void> {
  if (existsSync(store)) return
  const draft = `${store}.draft`
  await rm(draft, { recursive: true, force: true })
  const start = performance.now()
  await fillStore(draft, size, log)
  await rename(draft, store)
  log(`  filled in ${Math.round((performance.now() - start) / 1000)} s`)
}

/** From the request to the last byte of the answer; the first call is not counted. */
async function timeCalls(url: string): Promise<number[]> {
  const times: number[] = []
  for (let call = 0; call <= calls; call++) {
    const start = performance.now()
    const response = await fetch(`${url}/api/monitoring/overview`, { headers: { authorization: `Bearer ${adminKey}` } })
    const { days } = (await response.json()) as { days: { answers: number }[] }
    times.push(performance.now() - start)
    if (!days.some(({ answers }) => answers > 0)) throw new Error('the overview knows of no answer')
  }
  return times.slice(1)
}

/** Each visit with an empty cache. The first one of all, which waits for the bundle, is told apart. */
async function timePaints(executablePath: string, url: string, details: object): Promise<Measurement> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  try {
    const cold = await visit(browser, url)
    const warm = []
    for (let n = 0; n < visits; n++) warm.push(await visit(browser, url))
    const shown = warm.map(({ dataMs }) => Math.round(dataMs)).sort((a, b) => a - b)
    return {
      ours: warm.map(({ paintMs }) => paintMs),
      details: {
        ...details,
        first_visit_ms: Math.round(cold.paintMs),
        rates_shown_ms: shown[Math.floor(visits / 2)],
      },
    }
  } finally {
    await browser.close()
  }
}

/** Somebody with a session opens the overview: when the first text is painted, and when the rates are there. */
async function visit(browser: Browser, url: string): Promise<{ paintMs: number; dataMs: number }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  try {
    const begun = await context.request.post(`${url}/api/session`, { headers: { authorization: `Bearer ${adminKey}` } })
    if (!begun.ok()) throw new Error(`no session: ${begun.status()}`)
    const page = await context.newPage()
    page.setDefaultTimeout(120_000)
    await page.goto(url)
    await page.locator('.card .chart svg').first().waitFor()
    return await page.evaluate(() => ({
      paintMs: performance.getEntriesByName('first-contentful-paint')[0].startTime,
      dataMs: performance.now(),
    }))
  } finally {
    await context.close()
  }
}
