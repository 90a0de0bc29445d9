import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

/** PLUMBLINE_POWER_CUTS asks for more. */
const rounds = Number(process.env.PLUMBLINE_POWER_CUTS ?? 9)
const script = fileURLToPath(new URL('./power-cut.test-support.ts', import.meta.url))

/** Writes until power goes, or a kill comes. The rows that were there, and those that were committed. */
async function writeUntilEnd(folder: string, seed: number) {
  const child = spawn(process.execPath, ['--liftoff-only', script, folder, String(seed)])
  const closed = once(child, 'close')
  const [out, said] = await Promise.all([text(child.stdout), text(child.stderr)])
  await closed
  // One that could not begin, as its files are no good, ends otherwise.
  expect(child.signalCode, said.slice(-2_000)).toBe('SIGKILL')
  const lines = out.split('\n').map((line) => line.split(' '))
  const named = (kind: string) => lines.flatMap(([first, ...ids]) => (first === kind ? ids : []))
  // Some ends come before all has been read.
  return { found: named('all').length > 0 ? new Set(named('found')) : undefined, committed: named('committed') }
}

// It reads what is open by its number, which only Linux shows.
test.skipIf(process.platform !== 'linux')(
  `what an embedded store has committed outlasts power cuts and kills, ${rounds} of them`,
  { timeout: 60_000 + rounds * 30_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'power-cut-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const committed: string[] = []
    let looks = 0
    for (let round = 0; round <= rounds; round++) {
      const now = await writeUntilEnd(join(folder, 'store'), round)
      if (now.found !== undefined) looks++
      expect(committed.filter((id) => now.found?.has(id) === false)).toEqual([])
      committed.push(...now.committed)
    }
    expect(looks).toBeGreaterThan(rounds / 2)
    expect(committed.length).toBeGreaterThan(rounds * 50)
  },
)
