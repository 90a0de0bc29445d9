import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { drain } from './spool.test-support.ts'
import { openSpool } from './spool.ts'

/** PLUMBLINE_KILL_ROUNDS asks for more. */
const rounds = Number(process.env.PLUMBLINE_KILL_ROUNDS ?? 100)
/** Spools that are written and killed beside each other, as processes that start and disks that sync are waited for. */
const lanes = 4

const load = `import { openSpool } from ${JSON.stringify(new URL('./spool.ts', import.meta.url).href)}`
const script = `${load}
  const [folder, round, until] = process.argv.slice(1)
  const spool = await openSpool(folder, { warn() {}, segmentBytes: 20000 })
  for (let i = 0; ; i++) {
    // Eight at a time, so that they share syncs.
    await Promise.all(Array.from({ length: 8 }, async (_, j) => {
      const name = round + '-' + i + '-' + j
      await spool.append(Buffer.from(name + ' '.repeat(Math.random() * 500)), until)
      process.stdout.write(name + '\\n')
    }))
  }`
const nodeArguments = (text: string, ...more: string[]) => ['--input-type=module', '-e', text, ...more]

/** Writes until kill -9 comes. Gives the names of the records that were acknowledged. */
async function writeUntilKilled(folder: string, round: number): Promise<string[]> {
  const until = round % 2 === 0 ? 'written' : 'synced'
  const child = spawn(process.execPath, nodeArguments(script, folder, String(round), until), { stdio: 'pipe' })
  let [out, said] = ['', '']
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  child.stdout.on('data', (chunk) => {
    if (out === '') setTimeout(() => child.kill('SIGKILL'), Math.random() * 60)
    out += chunk
  })
  expect(await new Promise((resolve) => child.on('close', (_, by) => resolve(by))), said).toBe('SIGKILL')
  // A name that was cut by the kill was not acknowledged.
  return out.split('\n').slice(0, -1)
}

/** Again and again on one folder. */
async function runLane(folder: string, count: number) {
  const acknowledged: string[] = []
  const read: string[] = []
  for (let round = 0; round < count; round++) {
    acknowledged.push(...(await writeUntilKilled(folder, round)))
    if (round % 3 < 2 && round < count - 1) continue
    const spool = await openSpool(folder, { warn: () => {} })
    read.push(...(await drain(spool, 5000)).map((text) => text.trim()))
    await spool.close(0)
  }
  return { acknowledged, read }
}

test(`kill -9 at random times, ${rounds} rounds: what was acknowledged, written or synced, is there, once`, {
  timeout: 60_000 + rounds * 20_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'spool-kill-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  // What those that are killed compile is not kept: one that ends by itself does it for them.
  await promisify(execFile)(process.execPath, nodeArguments(load))
  const counts = Array.from({ length: lanes }, (_, lane) => Math.floor((rounds + lane) / lanes))
  const ran = await Promise.all(counts.map((count, lane) => runLane(join(folder, String(lane)), count)))
  for (const { acknowledged, read } of ran) {
    const found = new Set(read)
    expect(found.size).toBe(read.length)
    expect(acknowledged.filter((name) => !found.has(name))).toEqual([])
  }
  expect(ran.flatMap(({ acknowledged }) => acknowledged).length).toBeGreaterThan(rounds * 8)
})
