/** Reading the real model takes less than 1.3 times its weights in float32. Linux tells a process's peak; others skip. */
import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { smollm2Path } from './smollm2.ts'

/** Peak resident bytes of a process that imports the library and runs `code`, and what `code` printed. */
function peakOf(code: string): { peak: number; printed: string } {
  const script = `import { readFileSync } from 'node:fs'
    import { loadModelFolder } from '@plumbline/models'
    ${code}
    console.log(/^VmHWM:\\s+(\\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])`
  const options = { cwd: import.meta.dirname, encoding: 'utf8' as const }
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], options)
  const lines = stdout.trim().split('\n')
  if (lines.at(-1) === '') throw new Error(stderr)
  return { peak: Number(lines.at(-1)) * 1024, printed: lines[0] }
}

test.skipIf(process.platform !== 'linux')(
  'a GGUF is read below 1.3 times its weights',
  { timeout: 120_000 },
  async () => {
    const path = JSON.stringify(await smollm2Path())
    const idle = peakOf('void loadModelFolder')
    const reading = peakOf(`const { parameters } = await loadModelFolder(${path})
    console.log([...parameters.values()].reduce((sum, { data }) => sum + data.byteLength, 0))`)
    const weights = Number(reading.printed)
    expect(weights).toBeGreaterThan(500e6)
    expect((reading.peak - idle.peak) / weights).toBeLessThan(1.3)
  },
)
