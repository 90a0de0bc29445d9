/** Runs a trainer in a run folder as the command does, with a clock that stands still. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRunFolder, runTrainer, type TrainerWorld } from '@plumbline/align'
import { PlumblineError } from '@plumbline/contracts'
import { createComputePool, type ParameterMap } from '@plumbline/engine'
import type { LanguageModel } from '@plumbline/models'

const pool = createComputePool({ threads: 1 })

export interface RunOptions {
  readonly resume?: boolean
  /** Interrupts after this step. */
  readonly stopAfter?: number
  readonly onStep?: (step: number) => void
  /** Makes a weight infinite after this step: see `poisoned`. */
  readonly poisonAfter?: number
  readonly availableBytes?: number
  /** Rows beside the usual ones: see `MoreRows` of the registry. */
  readonly also?: 'idle' | 'empty'
}

export interface TrainerRun<Result> {
  readonly result: Result | undefined
  readonly error: PlumblineError | undefined
  /** Steps that were done before. */
  readonly began: number | undefined
  /** Steps that this run did. */
  readonly steps: number
  readonly said: readonly string[]
  /** Lines of metrics.jsonl. */
  readonly metrics: readonly Readonly<Record<string, number>>[]
}

/** Opens the run folder, trains, notes the end. An error of Plumbline's comes back, any other is thrown. */
export async function runInFolder<Result>(
  folder: string,
  command: string,
  config: Record<string, unknown>,
  train: (world: TrainerWorld) => Promise<Result>,
  options: RunOptions = {},
): Promise<TrainerRun<Result>> {
  const { resume = false, stopAfter, availableBytes = Number.POSITIVE_INFINITY } = options
  const said: string[] = []
  const stop = new AbortController()
  const interrupt = () => stop.abort(new PlumblineError('INTERRUPTED', 'Stopped by the test.'))
  if (stopAfter === 0) interrupt()
  const openRun = () =>
    openRunFolder(folder, {
      command,
      config,
      resume,
      now: () => 0,
      version: '0',
      keep: 2,
      best: 'lowest',
      warn: (text) => said.push(text),
    })
  let began: number | undefined
  let steps = 0
  const onStep = (step: number) => {
    began ??= step
    steps = step - began
    if (steps > 0) options.onStep?.(step)
    if (step === stopAfter) interrupt()
  }
  const { signal } = stop
  const log = (text: string) => said.push(text)
  let ticks = 0
  // Each look takes a second: the same run measures the same.
  const clock = () => 1000 * ticks++
  let result: Result | undefined
  let error: PlumblineError | undefined
  try {
    await runTrainer(
      { openRun, pool, signal, availableBytes: () => availableBytes, onStep, log, clock },
      async (world) => {
        result = await train(world)
        return async () => {}
      },
    )
  } catch (thrown) {
    if (!(thrown instanceof PlumblineError)) throw thrown
    error = thrown
  }
  return { result, error, began, steps, said, metrics: readLines(join(folder, 'metrics.jsonl')) }
}

/** A world in which a weight becomes infinite after a step. */
export function poisoned(world: TrainerWorld, { parameters }: LanguageModel, after: number | undefined): TrainerWorld {
  const [first] = parameters.values()
  return {
    ...world,
    onStep(step, total) {
      world.onStep(step, total)
      if (step === after) first.data.fill(Number.POSITIVE_INFINITY)
    },
  }
}

export function readLines(path: string) {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** One checksum for all weights. */
export function hashOf(parameters: ParameterMap): string {
  const hash = createHash('sha256')
  for (const [name, { data }] of parameters) hash.update(name).update(Buffer.from(data.buffer))
  return hash.digest('hex')
}
