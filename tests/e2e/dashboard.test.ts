import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ReviewStats } from '@plumbline/contracts'
import type { Browser, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath } from '../../packages/align/src/report/testing/chromium.ts'
import { type Demo, launch, patienceMs, signIn, startDemo, tooWide, violations, visit } from './dashboard-browser.ts'

/** A folder for pictures of every page, to be looked at; none are taken without it. */
const pictures = process.env.PLUMBLINE_SCREENSHOTS
const names = ['overview', 'answers', 'alarms', 'review', 'evaluators', 'runs', 'keys', 'settings']
/** Each width and each scheme once; where pictures are taken, all. */
const looks = [
  [390, 'dark'],
  [1280, 'light'],
] as const
const allLooks = [...looks, [390, 'light'], [1280, 'dark']] as const
const why = chromiumPath === undefined ? ' (skipped: no chromium is installed)' : ''

describe.skipIf(chromiumPath === undefined)(`the dashboard in a browser${why}`, { timeout: 10 * patienceMs }, () => {
  let demo: Demo
  let browser: Browser
  beforeAll(async () => {
    ;[demo, browser] = await Promise.all([startDemo(), launch()])
  }, 10 * patienceMs)
  afterAll(async () => {
    await browser?.close()
    await demo?.stop()
  }, patienceMs)

  const open = (page: Page, place: string) => page.goto(`${demo.url}/#/${place}`)
  const picture = async (page: Page, name: string) => {
    if (pictures === undefined) return
    mkdirSync(pictures, { recursive: true })
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
  }
  /** Once it shows what the server said. */
  const loaded = (page: Page) =>
    page.waitForFunction(() => document.querySelector('main [aria-label=Loading]') === null)

  /** An answer that comes now, told by OpenTelemetry; gives its record once it is in the store. */
  const answer = async (text: string): Promise<string> => {
    const traceId = randomBytes(16).toString('hex')
    await demo.send('POST', '/v1/traces', chatSpan(traceId, text))
    let record = ''
    const find = async () => {
      const path = '/api/interactions?limit=20'
      const { data } = await demo.send<{ data: { id: string; record: string }[] }>('GET', path)
      record = data.find(({ id }) => id === `chatcmpl-${traceId}`)?.record ?? ''
      return record
    }
    await expect.poll(find, { timeout: patienceMs }).not.toBe('')
    return record
  }

  test('a wrong key is told so; a good one opens the pages until one signs out', async () => {
    const { page, close } = await visit(browser, demo)
    await page.getByLabel('Key', { exact: true }).fill('plk_wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    expect(await page.getByRole('alert').textContent()).toContain('mistyped, or was revoked')
    await signIn(page)
    await page.reload()
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Key', { exact: true }).waitFor()
    await page.reload()
    await page.getByLabel('Key', { exact: true }).waitFor()
    await close()
  })

  for (const [width, scheme] of pictures === undefined ? looks : allLooks)
    test(`every page, ${width} px, ${scheme}: no complaint, no scrolling sideways, accessible`, async () => {
      const { page, complaints, close } = await visit(browser, demo, { width, scheme })
      expect(await violations(page)).toEqual([])
      await picture(page, `sign-in-${width}-${scheme}`)
      await signIn(page)
      for (const name of names) {
        await open(page, name)
        await page
          .locator('main h1')
          .filter({ hasText: new RegExp(name, 'i') })
          .waitFor()
        await loaded(page)
        expect(await violations(page), name).toEqual([])
        expect(await tooWide(page), name).toBe(0)
        await picture(page, `${name}-${width}-${scheme}`)
      }
      for (const [list, link] of [
        ['answers', '.row-link'],
        ['alarms', '.alarms a'],
        ['runs', '.list a:text("align/ppo")'],
        ['runs', '.list a:text("align/reward")'],
        ['runs', '.list a:text("stopped-reward")'],
      ]) {
        await open(page, list)
        await page.locator(link).first().click()
        const of = /"(.*)"/.exec(link)?.[1].replace('/', '-') ?? 'one'
        await page.getByRole('link', { name: `All ${list}` }).waitFor()
        await loaded(page)
        // The outer one before those in it.
        for (const closed of await page.locator('details').all()) await closed.locator('summary').first().click()
        expect(await violations(page), `${of} of ${list}`).toEqual([])
        expect(await tooWide(page), `${of} of ${list}`).toBe(0)
        await picture(page, `${list}-${of}-${width}-${scheme}`)
      }
      expect(complaints).toEqual([])
      await close()
    })

  test('answers: by filter, by cursor, and the whole record', async () => {
    const { page, close } = await visit(browser, demo)
    await signIn(page)
    await open(page, 'answers')
    const rows = page.locator('.list tbody tr')
    await rows.first().waitFor()
    expect(await rows.count()).toBe(50)
    const newest = await rows.first().textContent()
    await page.getByRole('link', { name: 'Older' }).click()
    await page.getByRole('link', { name: 'Newest' }).waitFor()
    await expect.poll(() => rows.first().textContent(), { timeout: patienceMs }).not.toBe(newest)
    await page.goBack()
    await expect.poll(() => rows.first().textContent(), { timeout: patienceMs }).toBe(newest)
    await page.getByLabel('Text').fill('chain checker')
    await page.getByText('More filters').click()
    await page.getByLabel('Ended').selectOption('completed')
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.getByRole('link', { name: 'Clear' }).waitFor()
    await expect.poll(async () => (await rows.allTextContents()).every((text) => /chain/.test(text))).toBe(true)
    await rows.first().locator('a').click()
    await page.getByText('Measure it with a chain checker').first().waitFor()
    expect(await page.locator('aside').textContent()).toMatch(/shop-assistant/)
    await close()
  })

  test('answers that an evaluator flags are found by it, and each says what every evaluator thinks of it', async () => {
    const { page, close } = await visit(browser, demo)
    await signIn(page)
    await open(page, 'overview')
    // From a rate to the answers behind it.
    await page
      .locator('.card')
      .filter({ has: page.getByRole('heading', { name: 'harm', exact: true }) })
      .getByRole('link', { name: 'flagged answers' })
      .click()
    await page.getByRole('link', { name: 'Clear' }).waitFor()
    const flags = page.locator('.list tbody .flags')
    await flags.first().waitFor()
    expect((await flags.allTextContents()).filter((text) => !text.includes('harm'))).toEqual([])
    await page.getByLabel('Feedback').selectOption('flag')
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.waitForURL(/feedback=flag/)
    await loaded(page)
    await page.locator('.row-link').first().click()
    const said = page.locator('section[aria-labelledby=evaluations]')
    await said.getByRole('row', { name: /^harm .*flagged harmful/ }).waitFor()
    expect(await said.locator('tbody tr').count()).toBe(4)
    await page.getByText('flag · harassment').waitFor()
    await close()
  })

  test('what models and people write is shown, not obeyed', async () => {
    const attack = '"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">\u202e'
    await answer(attack)
    const { page, complaints, close } = await visit(browser, demo)
    await signIn(page)
    // It comes in by itself: nothing is pressed.
    await open(page, 'answers')
    await page.getByText('onerror=').first().waitFor()
    await page.locator('.row-link').filter({ hasText: 'onerror=' }).click()
    await page.locator('.turn[data-answer]').waitFor()
    expect(await page.locator('.turn[data-answer] .content').textContent()).toBe(
      `said ${attack.replace('\u202e', '⟨U+202E⟩')}`,
    )
    expect(await page.evaluate('window.hacked')).toBeUndefined()
    expect(await page.locator('main script, main img, main iframe').count()).toBe(0)
    expect(complaints).toEqual([])
    await close()
  })

  test('review by keyboard alone: label, comment, submit, skip; the second reviewer is blind', async () => {
    const addReviewer = async (name: string) =>
      (await demo.send<{ key: string }>('POST', '/api/keys', { scope: 'reviewer', name })).key
    const interaction = await answer('a question of this test')
    const item = { interaction, reason: 'uncertainty', priority: 900, reviewers: 2 }
    await demo.send('POST', '/api/review/items', item)
    const judged = async () => (await demo.send<ReviewStats>('GET', '/api/review/stats')).reviewers
    const before = await judged()

    const { page, close } = await visit(browser, demo)
    await page.getByLabel('Key', { exact: true }).focus()
    await page.keyboard.type(await addReviewer('first'))
    await page.keyboard.press('Enter')
    await page.getByText('asked a question of this test').waitFor()
    // A reviewer has this page alone.
    expect(await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allTextContents()).toEqual([
      'Review',
    ])
    await page.getByText('How to judge').click()
    await page.getByText('Insults are harmful').waitFor()
    // Without a label nothing is sent, and keys go on being keys.
    await page.keyboard.press('Control+Enter')
    await page.getByText('Choose a label first').waitFor()
    await page.keyboard.press('2')
    await page.keyboard.press('e')
    await page.keyboard.type('seen 5 s by keyboard')
    await page.keyboard.press('Control+Enter')
    await page.getByText('Judged harmful: it waits for more judgements.').waitFor()
    await page.locator('form.judgement:not([inert])').waitFor()
    await page.keyboard.press('s')
    await page.getByText('Skipped: you are not asked about this one again.').waitFor()
    const after = (await judged()).filter((one) => !before.some(({ reviewer }) => reviewer === one.reviewer))
    expect(after).toMatchObject([{ submitted: 1, skipped: 1 }])
    await close()

    const second = await visit(browser, demo)
    await signIn(second.page, await addReviewer('second'))
    await second.page.getByText('asked a question of this test').waitFor()
    expect(await second.page.locator('main').textContent()).not.toContain('seen 5 s by keyboard')
    await second.page.keyboard.press('1')
    await second.page.keyboard.press('Enter')
    await second.page.getByText('Judged good: others see it differently, one more person decides.').waitFor()
    await second.close()
  })

  test('a judgement on its way locks the form; one that fails loses nothing; one that is gone lets go on', async () => {
    const interaction = await answer('a question for a slow line')
    await demo.send('POST', '/api/review/items', { interaction, reason: 'uncertainty', priority: 950 })
    const { key } = await demo.send<{ key: string }>('POST', '/api/keys', { scope: 'reviewer', name: 'locked' })
    const { page, close } = await visit(browser, demo)
    const held: Route[] = []
    await page.route(/\/api\/review\/[^/]+\/(submit|skip)$/, (route) => void held.push(route))
    await signIn(page, key)
    await page.getByText('asked a question for a slow line').waitFor()
    const form = page.locator('form.judgement')
    const comment = form.locator('[name=comment]')
    const reached = () =>
      form.evaluate((element) => {
        const controls = [...element.querySelectorAll<HTMLElement>('input, textarea, button')]
        return controls.filter((one) => {
          one.focus()
          return document.activeElement === one
        }).length
      })

    await page.keyboard.press('2')
    await page.keyboard.press('e')
    await page.keyboard.type('rude')
    const submit = (await form.getByRole('button', { name: 'Submit' }).boundingBox())!
    await page.keyboard.press('Control+Enter')
    await expect.poll(() => held.length, { timeout: patienceMs }).toBe(1)
    for (const pressed of ['Enter', 'Control+Enter', '1', 's']) await page.keyboard.press(pressed)
    await page.mouse.click(submit.x + submit.width / 2, submit.y + submit.height / 2)
    expect(await reached()).toBe(0)
    await page.waitForTimeout(300)
    expect(held).toHaveLength(1)

    // The server has it, but its answer is lost.
    await held[0].fetch()
    await held[0].fulfill({ status: 503, json: { error: { code: 'busy', message: 'The store is busy: try again.' } } })
    await page.getByText('The store is busy: try again.').waitFor()
    // Whoever goes on writing writes, and skips nothing.
    await page.keyboard.type(' and so')
    expect(await comment.inputValue()).toBe('rude and so')
    expect(await form.getByRole('textbox', { name: 'Label' }).inputValue()).toBe('harmful')
    expect(await reached()).toBeGreaterThan(5)
    expect(held).toHaveLength(1)

    // It was judged already: nothing can be sent from here, and there is a way on.
    await form.getByRole('button', { name: 'Submit' }).click()
    await expect.poll(() => held.length, { timeout: patienceMs }).toBe(2)
    await held[1].continue()
    await page.getByText('it was judged or skipped already').waitFor()
    await page.getByText('This item is not open here any more').waitFor()
    expect(await violations(page)).toEqual([])
    await page.getByRole('button', { name: 'Go on to the next one' }).click()
    await page.getByText('This item is not open here any more').waitFor({ state: 'hidden' })
    await form.getByRole('button', { name: 'Submit' }).waitFor()
    expect(held).toHaveLength(2)
    await close()
  })

  test('what disagrees about an answer stands with it', async () => {
    const interaction = await answer('a question that divides people')
    const admin = { interaction, kind: 'rating' } as const
    await demo.send('POST', '/v1/feedback', { ...admin, rating: 1, actor: { id: 'anna' } })
    await demo.send('POST', '/v1/feedback', { ...admin, rating: -1, actor: { id: 'ben' } })
    await demo.send('POST', '/api/review/items', { interaction, reason: 'disagreement', priority: 1000 })
    const { key } = await demo.send<{ key: string }>('POST', '/api/keys', { scope: 'reviewer', name: 'third' })
    const { page, close } = await visit(browser, demo)
    await signIn(page, key)
    await page.getByText('they disagree about it').waitFor()
    await page.getByText('Ratings: 1 good, 1 bad').waitFor()
    expect(await violations(page)).toEqual([])
    await picture(page, 'disagreement')
    await close()
  })

  test('keys: one is made, shown once, opens the review, and is revoked', async () => {
    const { page, close } = await visit(browser, demo)
    await signIn(page)
    await open(page, 'keys')
    await page.getByLabel('For whom or what').fill('Carla <b>')
    await page.getByLabel('What it opens').selectOption('reviewer')
    await page.getByRole('button', { name: 'Make a key' }).click()
    const key = (await page.locator('.secret').textContent())!
    expect(key).toMatch(/^plk_/)
    const session = () =>
      fetch(`${demo.url}/api/session`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })
    expect((await session()).status).toBe(200)
    await page.getByRole('button', { name: 'Revoke Carla <b>' }).click()
    await answerForGood(page)
    await page
      .locator('tr')
      .filter({ hasText: 'Carla <b>' })
      .getByText(/^revoked/)
      .waitFor()
    expect((await session()).status).toBe(401)
    await close()
  })

  test('settings: what monitoring does is read; a person’s deletion is asked once more', async () => {
    const { page, close } = await visit(browser, demo)
    await signIn(page)
    await open(page, 'settings')
    const setting = (name: string) =>
      page.locator('.settings > div').filter({ has: page.getByText(name, { exact: true }) })
    await setting('evaluators').getByText('harm, toxicity, refusal, personal-data').waitFor()
    expect(await setting('alarms.baseline_answers').locator('dd').textContent()).toBe('500')
    await page.getByRole('textbox', { name: 'Person' }).fill('nobody')
    await page.getByRole('button', { name: 'Delete all their records' }).click()
    await answerForGood(page)
    await page.getByText('None of this person’s records gets in any more').waitFor()
    await close()
  })

  test('a page that another site frames or scripts is refused by its own headers', async () => {
    const { headers, status } = await fetch(demo.url)
    expect(status).toBe(200)
    const policy = headers.get('content-security-policy')!
    expect(policy).not.toMatch(/unsafe|\*/)
    expect(policy).toContain("frame-ancestors 'none'")
    const etag = headers.get('etag')!
    expect((await fetch(demo.url, { headers: { 'if-none-match': etag } })).status).toBe(304)
    expect((await fetch(demo.url, { method: 'POST' })).status).toBe(405)
    expect((await fetch(`${demo.url}/app.js.map`)).status).toBe(404)
  })
})

function chatSpan(traceId: string, text: string) {
  const field = (key: string, stringValue: string) => ({ key, value: { stringValue } })
  const said = (role: string, content: string) => JSON.stringify([{ role, parts: [{ type: 'text', content }] }])
  const now = `${Date.now()}000000`
  const attributes = [
    field('gen_ai.operation.name', 'chat'),
    field('gen_ai.request.model', 'm'),
    field('gen_ai.response.id', `chatcmpl-${traceId}`),
    field('gen_ai.input.messages', said('user', `asked ${text}`)),
    field('gen_ai.output.messages', said('assistant', `said ${text}`)),
  ]
  const span = {
    traceId,
    spanId: traceId.slice(0, 16),
    name: 'chat m',
    startTimeUnixNano: now,
    endTimeUnixNano: now,
    attributes,
  }
  return { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }
}

/** The second click of a double click answers nothing; one of later does. */
async function answerForGood(page: Page) {
  const answer = page.getByRole('button', { name: 'For good?' })
  await answer.click()
  await page.waitForTimeout(750)
  await answer.click()
}
