import type { RunFolder } from './run-folder.ts'
import type { TrainerWorld } from './training.ts'

/** What a trainer is handed, before there is a run folder. */
export interface RunTrainerWorld extends Omit<TrainerWorld, 'run' | 'availableBytes'> {
  readonly openRun: () => Promise<RunFolder>
  /** Memory that training may take, now. */
  readonly availableBytes: () => number
}

/**
 * Runs a trainer in a run folder: opens it, trains, notes how it ended, frees it. A finished run is left as it is.
 * `train` gives what writes the model. Returns the run, closed.
 */
export async function runTrainer(
  { openRun, availableBytes, signal, pool, onStep, log, clock }: RunTrainerWorld,
  train: (world: TrainerWorld) => Promise<(folder: string) => Promise<void>>,
): Promise<RunFolder> {
  const run = await openRun()
  try {
    if (run.state === 'finished') return run
    const writeModel = await train({
      run,
      pool,
      signal: AbortSignal.any([signal, run.signal]),
      availableBytes: availableBytes(),
      onStep,
      log,
      clock,
    })
    await run.finish({ writeModel })
    return run
  } catch (error) {
    await run.fail(error)
    throw error
  } finally {
    await run.close()
  }
}
