/** Training runs in the real browser, written by the trainers' own run folder while the page is open. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRunFolder } from '@plumbline/align'
import { PlumblineError } from '@plumbline/contracts'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath } from '../../packages/align/src/report/testing/chromium.ts'
import { type Demo, launch, patienceMs, signIn, startServed, tooWide, violations, visit } from './dashboard-browser.ts'

const pictures = process.env.PLUMBLINE_SCREENSHOTS
const why = chromiumPath === undefined ? ' (skipped: no chromium is installed)' : ''
const attack = '"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">\u202e'
const withoutModel = ['--upstream', 'http://127.0.0.1:9/v1']

describe.skipIf(chromiumPath === undefined)(`training runs in a browser${why}`, { timeout: 10 * patienceMs }, () => {
  const base = mkdtempSync(join(tmpdir(), 'dashboard-runs-'))
  const folder = join(base, 'runs')
  let served: Demo
  let browser: Browser
  beforeAll(async () => {
    mkdirSync(folder)
    const flags = ['--data', join(base, 'gateway'), ...withoutModel, '--runs', folder]
    ;[served, browser] = await Promise.all([startServed(flags), launch()])
  }, 10 * patienceMs)
  afterAll(async () => {
    await browser?.close()
    await served?.stop()
    rmSync(base, { recursive: true, force: true })
  }, patienceMs)

  const open = (page: Page, place: string) => page.goto(`${served.url}/#/${place}`)
  const startRun = (name: string, command = 'ppo') =>
    openRunFolder(join(folder, name), {
      command,
      config: { learning_rate: 1e-5, note: attack },
      now: Date.now,
      version: '0.0.0',
    })

  test('no run, one that goes on while one looks, one that fails: nothing is pressed', async () => {
    const { page, complaints, close } = await visit(browser, served)
    await signIn(page)
    await open(page, 'runs')
    await page.getByText('No training run lies in the folder yet.').waitFor()
    expect(await violations(page)).toEqual([])

    const run = await startRun('live')
    run.logMetrics(1, { 'objective/scores': 0.25, 'objective/kl': 0 })
    await page.getByRole('link', { name: 'live' }).click()
    await page.getByText('live: the curves grow by themselves').waitFor()
    const reward = page.locator('figure').filter({ hasText: 'score of the reward model' })
    await reward.getByText('0.25', { exact: true }).waitFor()
    run.logMetrics(2, { 'objective/scores': 0.75, 'objective/kl': Number.NaN })
    run.logSamples(2, [{ prompt: attack, completion: `answer ${attack}`, score: 1, kl: 0, finish_reason: 'stop' }])
    await reward.getByText('0.75', { exact: true }).waitFor()
    await reward.getByText('As a table').click()
    expect(await reward.locator('tbody tr').allTextContents()).toEqual(['10.25', '20.75'])
    const kl = page.locator('figure').filter({ hasText: 'KL to the reference' })
    expect(await kl.locator('.latest').textContent()).toContain('not a finite number')

    // What a run says is text: in samples, in the configuration, in its error.
    const sample = page.locator('.turn[data-answer] .content')
    await sample.waitFor()
    expect(await sample.textContent()).toBe(`answer ${attack.replace('\u202e', '⟨U+202E⟩')}`)
    await run.fail(new PlumblineError('POLICY_RAN_AWAY', `the KL is too large ${attack}`))
    await run.close()
    const end = page.getByRole('alert')
    await end.filter({ hasText: 'POLICY_RAN_AWAY' }).waitFor()
    expect(await end.textContent()).toContain('plumb ppo --resume')
    expect(await page.getByText('live: the curves').count()).toBe(0)
    expect(await page.evaluate('window.hacked')).toBeUndefined()
    expect(await page.locator('main script, main img, main iframe').count()).toBe(0)
    expect(await violations(page)).toEqual([])
    if (pictures !== undefined) await page.screenshot({ path: join(pictures, 'runs-failed.png'), fullPage: true })
    expect(complaints).toEqual([])
    await close()
  })

  test('one whose process was killed, one that is broken, one that is not there; at the width of a phone', async () => {
    const run = await startRun('killed')
    run.logMetrics(1, { loss: 2 })
    await run.close()
    mkdirSync(join(folder, 'broken'))
    writeFileSync(join(folder, 'broken/run.json'), '{')
    const { page, complaints, close } = await visit(browser, served, { width: 390, scheme: 'dark' })
    await signIn(page)
    await open(page, 'runs')
    const row = (name: string) => page.locator('tbody tr').filter({ has: page.getByRole('link', { name }) })
    await row('killed').getByText('killed', { exact: true }).last().waitFor()
    await row('broken').getByText('unreadable').waitFor()
    expect(await row('broken').textContent()).toContain('RUN_BROKEN')
    expect(await violations(page)).toEqual([])
    expect(await tooWide(page)).toBe(0)
    if (pictures !== undefined) await page.screenshot({ path: join(pictures, 'runs-list-ends.png'), fullPage: true })
    for (const [name, says] of [
      ['killed', 'Its process ended without a word'],
      ['broken', 'It cannot be read'],
    ]) {
      await open(page, 'runs')
      await page.getByRole('link', { name }).click()
      await page.getByText(says).waitFor()
      expect(await violations(page), name).toEqual([])
      expect(await tooWide(page), name).toBe(0)
    }
    await open(page, 'runs/0000000000000000')
    await page.getByText('There is no such run.').waitFor()
    // The browser itself notes the 404.
    expect(complaints.filter((complaint) => !complaint.includes('status of 404'))).toEqual([])
    await close()
  })

  test('of a reward model, the two answers of a held-out pair stand below their prompt, with their scores', async () => {
    const run = await startRun('pairs', 'reward')
    const pair = (prompt: string, chosen: number, rejected: number) => [
      { prompt, completion: `${attack} yes`, score: chosen, side: 'chosen' },
      { prompt, completion: 'no', score: rejected, side: 'rejected' },
    ]
    run.logSamples(5, [...pair('a', 0.1, 0.2), ...pair('b', 0.3, 0.4)])
    run.logSamples(10, [...pair('a', 1, -1), ...pair('b', 2, -2)])
    await run.close()
    const { page, complaints, close } = await visit(browser, served, { width: 390 })
    await signIn(page)
    await open(page, 'runs')
    await page.getByRole('link', { name: 'pairs' }).click()
    const section = page.getByRole('region', { name: 'Held-out answers and their scores' })
    const cards = section.getByRole('article')
    await cards.first().waitFor()
    const shown = await cards.evaluateAll((list) =>
      list.map((card) => [...card.querySelectorAll('.who, .dim')].map(({ textContent }) => textContent)),
    )
    expect(shown[0]).toEqual(['prompt', 'chosen, score 1', 'rejected, score -1', 'step 10'])
    expect(shown.map((facts) => facts.at(-1))).toEqual(['step 10', 'step 10', 'step 5', 'step 5'])
    expect(await violations(page)).toEqual([])
    expect(await tooWide(page)).toBe(0)
    if (pictures !== undefined) await page.screenshot({ path: join(pictures, 'runs-reward.png'), fullPage: true })
    expect(complaints).toEqual([])
    await close()
  })

  test('without a folder the page says how to give one', async () => {
    const bare = await startServed(['--data', join(base, 'bare'), ...withoutModel])
    try {
      const { page, close } = await visit(browser, bare)
      await signIn(page)
      await page.goto(`${bare.url}/#/runs`)
      await page.getByText('plumb serve --runs FOLDER').waitFor()
      expect(await violations(page)).toEqual([])
      await close()
    } finally {
      await bare.stop()
    }
  })
})
