/** `npm start` as a user runs it: how long, and how much memory npm, our process and all that they start take. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { plumblineHome, pullModel } from '@plumbline/models'
import type { Section } from '../bench.ts'
import { modelName } from '../engine/world.ts'
import type { Figure } from '../figure.ts'
import { rootFolder } from '../paths.ts'
import { readProcesses, treePeakBytes } from './process-tree.ts'
import type { TrainersWorld } from './world.ts'

const duration: Figure = {
  name: 'main_job',
  title: 'npm start, the model in the cache',
  unit: 's',
  better: 'lower',
  goal: { atMost: 600 },
}
const memory: Figure = {
  name: 'main_job_memory',
  title: 'peak memory of npm start',
  unit: 'GB',
  better: 'lower',
  goal: { atMost: 8 },
}

const SAMPLE_MS = 500

/** Into a folder of its own, so that it starts from nothing. One run: it is long, and has no peer to take turns with. */
export const mainJob: Section<TrainersWorld> = {
  figures: [duration, memory],
  async run(world, record) {
    await pullModel(modelName, { home: plumblineHome(process.env), now: Date.now })
    const work = await mkdtemp(join(tmpdir(), 'plumbline-bench-'))
    try {
      const { seconds, peakBytes } = await measure(['start', '--', '--output', join(work, 'run')])
      record(duration, { ours: [seconds] })
      if (peakBytes !== undefined) record(memory, { ours: [peakBytes / 1e9] })
      else world.log(`skipped: ${memory.title}; only Linux tells it of other processes.`)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  },
}

/** Peaks of the processes that were there at the same time, added; undefined where /proc does not tell. */
async function measure(args: readonly string[]): Promise<{ seconds: number; peakBytes: number | undefined }> {
  const begun = performance.now()
  // What it says goes to stderr: stdout is for figures alone.
  const child = spawn('npm', args, { cwd: rootFolder, stdio: ['ignore', 2, 2] })
  let peakBytes: number | undefined
  const sample = () => {
    peakBytes = Math.max(peakBytes ?? 0, treePeakBytes(readProcesses(), child.pid!))
  }
  const timer = process.platform === 'linux' ? setInterval(sample, SAMPLE_MS) : undefined
  const ending = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : `status ${code ?? signal}`))
  })
  clearInterval(timer)
  if (ending === undefined) return { seconds: (performance.now() - begun) / 1000, peakBytes }
  throw new PlumblineError('BENCH_COMMAND', `"npm ${args.join(' ')}" failed: ${ending}.`)
}
