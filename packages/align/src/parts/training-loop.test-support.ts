/**
 * A training loop without a model, for the tests of the run folder: each step depends on the one before, so a step that
 * is lost or done twice shows. As a program: `node training-loop.test-support.ts FOLDER STEPS SAVE_STEPS VALUES`.
 */
import { PlumblineError } from '@plumbline/contracts'
import type { Checkpoint } from './checkpoint.ts'
import { type OpenRunOptions, openRunFolder, type RunFolder } from './run-folder.ts'

export interface Training {
  step: number
  weights: Float32Array<SharedArrayBuffer>
  random: number
}

export function runOptions(options: Partial<OpenRunOptions> = {}): OpenRunOptions {
  return {
    command: 'sft',
    config: { learning_rate: 0.1, max_steps: 40, logging_steps: 1 },
    resume: true,
    now: () => 1_700_000_000_000,
    version: '1.2.3',
    ...options,
  }
}

export function startTraining(checkpoint: Checkpoint | undefined, values = 64): Training {
  if (!checkpoint) return { step: 0, random: 1, weights: new Float32Array(new SharedArrayBuffer(values * 4)) }
  const { random } = checkpoint.state as { random: number }
  return { step: checkpoint.step, random, weights: checkpoint.arrays.get('weights')! }
}

/** One step: new weights, a line of metrics, every third step two samples. */
export function trainStep(run: Pick<RunFolder, 'logMetrics' | 'logSamples'>, training: Training): void {
  training.step++
  training.random = (training.random * 48271) % 2147483647
  for (let i = 0; i < training.weights.length; i++) training.weights[i] += ((training.random + i) % 1000) / 1000
  const loss = training.weights[0] / training.step
  run.logMetrics(training.step, { loss, epoch: training.step / 10, 'objective/kl': training.random })
  if (training.step % 3 === 0) {
    run.logSamples(training.step, [
      { prompt: 'Say "hi"\n', completion: `${training.random} ✓` },
      { prompt: 'é', completion: '', reward: loss },
    ])
  }
}

export function save(run: RunFolder, { step, weights, random }: Training, metric?: number): Promise<void> {
  return run.saveCheckpoint({ step, arrays: new Map([['weights', weights]]), state: { random }, metric })
}

async function main([folder, steps, saveSteps, values]: string[]): Promise<void> {
  const run = await openRunFolder(folder, runOptions({ keep: 2 }))
  const training = startTraining(await run.loadCheckpoint(), Number(values))
  const stop = new AbortController()
  process.on('SIGINT', () => stop.abort(new PlumblineError('INTERRUPTED', 'Stopped by SIGINT.')))
  process.stdout.write('started\n')
  try {
    while (training.step < Number(steps)) {
      trainStep(run, training)
      if (stop.signal.aborted || training.step % Number(saveSteps) === 0) await save(run, training)
      stop.signal.throwIfAborted()
    }
    await run.finish()
  } catch (error) {
    await run.fail(error)
    const { code, message, hint } = error as { code?: string; message?: string; hint?: string }
    process.stdout.write(`${JSON.stringify({ code, message, hint })}\n`)
    process.exitCode = 1
  }
  await run.close()
}

if (import.meta.main) await main(process.argv.slice(2))
