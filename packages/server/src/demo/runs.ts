import { fileURLToPath } from 'node:url'
import { openRuns, type Runs } from '../training-runs/runs.ts'

/** Runs that happened: `plumb align --seed 1`, and one that was stopped. Its models and checkpoints are left out. */
export function demoRuns(): Runs {
  return openRuns({
    folder: fileURLToPath(new URL('recorded/', import.meta.url)),
    note: 'These runs were recorded: plumb align on SmolLM2-135M-Instruct with the example set, two cores, and a reward model that was stopped. Nothing trains here.',
  })
}
