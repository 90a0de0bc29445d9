import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import { chromiumPath } from '../../packages/align/src/report/testing/chromium.ts'
import { startPlumb } from './plumb-process.ts'

export const adminKey = 'an-administrator-key-of-this-test'
/** A busy machine is slow, not wrong. */
export const patienceMs = 120_000

/** The real `plumb serve --demo` in a process of its own. */
export const startDemo = () => startServed(['--demo'])

/** `plumb serve` with other flags. */
export async function startServed(flags: readonly string[]) {
  const args = ['serve', ...flags, '--json', '--quiet', '--port', '0']
  const plumb = await startPlumb(args, { PLUMBLINE_ADMIN_KEY: adminKey })
  if (!plumb.stdout().includes('\n')) throw new Error(`plumb ${args.join(' ')} has ended: ${plumb.stderr()}`)
  const { url } = JSON.parse(plumb.stdout()) as { url: string }
  const send = async <Answer>(method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as Answer
  }
  const stop = async () => {
    plumb.process.kill('SIGTERM')
    await plumb.exited
  }
  return { url, send, stop, stderr: plumb.stderr }
}
export type Demo = Awaited<ReturnType<typeof startServed>>

export const launch = () => chromium.launch({ executablePath: chromiumPath!, args: ['--no-sandbox'] })

interface Look {
  readonly width?: number
  readonly scheme?: 'light' | 'dark'
}

/** A visitor of their own; `complaints` has what console, page and policy say, and requests to anywhere else. */
export async function visit(browser: Browser, { url }: Demo, { width = 1280, scheme = 'light' }: Look = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme })
  const page = await context.newPage()
  page.setDefaultTimeout(patienceMs)
  const complaints: string[] = []
  page.on('console', (message) => {
    // A visitor without a session is told so by a 401, which is no fault.
    if (!/status of 401/.test(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) complaints.push(`asks for ${request.url()}`)
  })
  await page.goto(url)
  return { page, complaints, close: () => context.close() }
}

export async function signIn(page: Page, key = adminKey): Promise<void> {
  await page.getByLabel('Key', { exact: true }).fill(key)
  await page.keyboard.press('Enter')
  await page.locator('main h1').filter({ hasNotText: 'Plumbline' }).waitFor()
}

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

/** What axe finds on the page as it is. */
export async function violations(page: Page): Promise<string[]> {
  // Put in by the test's own channel: the page's policy allows it no script but its own.
  await page.evaluate(axe.source)
  const found: Violation[] = await page.evaluate('axe.run().then((result) => result.violations)')
  return found.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`)
}

export const tooWide = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
