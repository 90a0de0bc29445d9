/** `plumb serve` as anybody starts it: a child process on a folder, spool and store included. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { PlumblineError } from '@plumbline/contracts'
import { rootFolder } from '../paths.ts'
import type { Target } from './traffic.ts'

export interface Serving {
  readonly target: Target
  readonly pid: number
  /** kill -9. */
  kill(): Promise<void>
  stop(): Promise<void>
}

const bin = join(rootFolder, 'packages/plumbline/bin/plumb.js')
export const adminKey = 'an-administrator-key-of-this-bench'
const authorization = `Bearer ${adminKey}`
const pollMs = 100

export async function startServing(options: {
  readonly folder: string
  /** Left out: one where nobody listens. */
  readonly upstream?: string
  readonly database?: string
}): Promise<Serving> {
  const { folder, upstream = 'http://127.0.0.1:9/v1', database } = options
  const place = database === undefined ? [] : ['--database', database]
  const args = [bin, 'serve', '--json', '--data', folder, '--port', '0', '--upstream', upstream, ...place]
  const env = { ...process.env, PLUMBLINE_ADMIN_KEY: adminKey }
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  const line = await firstLine(child)
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await exited
  }
  return {
    target: { origin: JSON.parse(line).url, headers: { authorization } },
    pid: child.pid!,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line
  throw new PlumblineError('BENCH_SERVE', 'plumb serve ended before it listened.', { hint: 'Its own words are above.' })
}

/** `work` with a gateway of its own, which is stopped afterwards. */
export async function withServing<T>(
  options: Parameters<typeof startServing>[0],
  work: (serving: Serving) => Promise<T>,
): Promise<T> {
  const serving = await startServing(options)
  try {
    return await work(serving)
  } finally {
    await serving.stop()
  }
}

/** Waits until all that is in the spool is in the store. Throws BENCH_SHIPPING after `patienceMs`. */
export async function untilShipped({ target }: Serving, patienceMs: number): Promise<void> {
  const until = performance.now() + patienceMs
  for (;;) {
    const text = await fetch(`${target.origin}/metrics`).then(
      (response) => response.text(),
      (cause) => {
        const hint = 'Its own words are above.'
        throw new PlumblineError('BENCH_SERVE', 'plumb serve has ended in the middle of a figure.', { hint, cause })
      },
    )
    if (/^plumbline_spool_bytes 0$/m.test(text) && /^plumbline_spool_pending_records 0$/m.test(text)) return
    if (performance.now() > until) {
      throw new PlumblineError('BENCH_SHIPPING', `records still wait in the spool after ${patienceMs / 1000} s.`)
    }
    await sleep(pollMs)
  }
}

/** What is recorded: our own id and the answer's of every record. */
export async function listRecords({ target }: Serving): Promise<{ record: string; id: string }[]> {
  const records: { record: string; id: string }[] = []
  let after = ''
  for (;;) {
    const response = await fetch(`${target.origin}/api/interactions?limit=1000${after}`, { headers: { authorization } })
    if (!response.ok) throw new PlumblineError('BENCH_LIST', `the list of records is answered ${response.status}.`)
    const page = (await response.json()) as { data: { record: string; id: string }[]; next: string | null }
    records.push(...page.data.map(({ record, id }) => ({ record, id })))
    if (page.next === null) return records
    after = `&after=${page.next}`
  }
}

/** Answers that a client has and the store has not; and records that stand there more than once. */
export function compareRecords(
  acknowledged: readonly string[],
  records: readonly { record: string; id: string }[],
): { lost: number; doubled: number } {
  const known = new Set(records.map(({ record }) => record))
  const lost = acknowledged.filter((id) => !known.has(id)).length
  return { lost, doubled: records.length - new Set(records.map(({ id }) => id)).size }
}
