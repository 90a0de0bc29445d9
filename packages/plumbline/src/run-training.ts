import { resolve } from 'node:path'
import type { RunFolder, TrainerWorld } from '@plumbline/align'
import { trainerHint } from '@plumbline/align/config'
import { z } from 'zod'
import { saveResolvedConfig } from './config-file.ts'
import { readJsonLines } from './json-lines.ts'
import { version } from './version.ts'
import type { World } from './world.ts'

/** Config fields of every command that trains. */
export const runFields = {
  output: z.string().min(1).describe('the run folder: metrics, checkpoints, samples and the model'),
  resume: z.boolean().default(false).describe('go on with the run that is in the output folder'),
  save_total_limit: z.number().int().min(1).default(2).describe('checkpoints to keep, beside the best'),
}

interface RunConfig {
  readonly output: string
  readonly resume: boolean
  readonly save_total_limit: number
}

/**
 * Runs `train` in a run folder: opens it, shows progress, notes how it ended, frees it. A finished run is left as it
 * is. `train` gives what writes the model.
 */
export async function runTraining(
  command: string,
  config: RunConfig & Record<string, unknown>,
  world: World,
  train: (trainer: TrainerWorld) => Promise<(folder: string) => Promise<void>>,
): Promise<string> {
  const [{ openRunFolder }, { createComputePool }] = await Promise.all([
    import('@plumbline/align'),
    import('@plumbline/engine'),
  ])
  const { resume, ...resolved } = config
  const run: RunFolder = await openRunFolder(resolve(world.cwd, config.output), {
    command,
    config: resolved,
    resume,
    now: world.now,
    version,
    writeConfig: (folder) => saveResolvedConfig(folder, command, config),
    keep: config.save_total_limit,
    best: 'lowest',
    warn: world.log.warn,
  })
  const pool = createComputePool()
  const availableBytes = world.availableMemory()
  try {
    if (run.state === 'finished') world.log.info(`${run.path} is finished; nothing to do.`)
    else {
      let progress: ReturnType<World['progress']> | undefined
      const onStep = (step: number, total: number) => {
        progress ??= world.progress(command, total, { unit: 'steps' })
        progress.set(step)
      }
      const writeModel = await train({
        run,
        pool,
        signal: AbortSignal.any([world.signal, run.signal]),
        availableBytes,
        onStep,
        log: world.log.info,
      })
      progress?.end()
      await run.finish({ writeModel })
    }
    return run.modelFolder
  } catch (error) {
    await run.fail(error)
    throw error
  } finally {
    pool.dispose()
    await run.close()
  }
}

/** All rows of a data file. Rows that lack a column may be for another trainer: then it is named. */
export async function readRows<Schema extends z.ZodObject>(
  path: string,
  schema: Schema,
  world: World,
): Promise<z.output<Schema>[]> {
  const rows: z.output<Schema>[] = []
  for await (const { row } of readJsonLines(path, schema, world, { hintFor: trainerHint })) rows.push(row)
  return rows
}
