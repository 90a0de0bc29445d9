import { PlumblineError } from '@plumbline/contracts'
import { type Adamw, type ComputePool, createParameter, type ParameterMap, type Value } from '@plumbline/engine'
import type { RunFolder } from './run-folder.ts'

/** What every trainer is handed. */
export interface TrainerWorld {
  readonly run: RunFolder
  readonly pool: ComputePool
  readonly signal: AbortSignal
  /** Memory that training may take, before the model was read. */
  readonly availableBytes: number
  /** Called with the steps that are done: before the first one here, then after each. */
  readonly onStep: (step: number, totalSteps: number) => void
  readonly log: (text: string) => void
  /** Milliseconds of a clock that does not go back. */
  readonly clock: () => number
}

/**
 * On an interrupt: saves what is not saved yet, then throws the signal's reason. Called between steps, where the state
 * is whole. A checkpoint that is there stays as it is: it may have a metric.
 */
export async function stopIfAsked(
  signal: AbortSignal,
  { step, savedStep }: Pick<TrainingState<unknown>, 'step' | 'savedStep'>,
  save: () => Promise<void>,
): Promise<void> {
  if (!signal.aborted) return
  if (step !== savedStep) await save()
  signal.throwIfAborted()
}

/** Whether something happens every `interval` steps at this one; never for 0. */
export function isDue(step: number, interval: number): boolean {
  return interval > 0 && step % interval === 0
}

/** The numbers of scalar outputs, by name. */
export function scalars<Name extends string>(values: Readonly<Record<Name, Value>>): Record<Name, number> {
  const numbers = Object.entries<Value>(values).map(([name, { data }]) => [name, Number(data[0])])
  return Object.fromEntries(numbers) as Record<Name, number>
}

/** Adds numbers to the sums of the same names. */
export function addTo<Sums extends Record<string, number>>(sums: Sums, numbers: Sums): void {
  for (const name of Object.keys(sums) as (keyof Sums)[]) sums[name] = (sums[name] + numbers[name]) as Sums[keyof Sums]
}

/** The sums of numbers of the same names. */
export function sumsOf<Name extends string>(
  parts: readonly Readonly<Record<Name, number>>[],
): Readonly<Record<Name, number>> {
  const sums = { ...parts[0] }
  for (const part of parts.slice(1)) addTo(sums, part)
  return sums
}

/** The means of numbers of the same names. */
export function meansOf<Name extends string>(
  parts: readonly Readonly<Record<Name, number>>[],
): Readonly<Record<Name, number>> {
  const sums = Object.entries<number>(sumsOf(parts)).map(([name, sum]) => [name, sum / parts.length])
  return Object.fromEntries(sums)
}

/** What an error names of a step: rows are counted from 1, in the order of the data. */
export interface StepRows {
  /** Steps done before. */
  readonly step: number
  readonly rows: readonly number[]
}

/** Throws NOT_FINITE, naming the step and its rows. */
export function checkFinite(what: string, value: number, step: StepRows): void {
  if (!Number.isFinite(value)) throw notFinite(`the ${what} is ${value}`, step)
}

/** The error for a step that cannot go on. */
export function notFinite(what: string, { step, rows }: StepRows, cause?: unknown): PlumblineError {
  const named = `${rows.slice(0, 8).join(', ')}${rows.length > 8 ? ', …' : ''}`
  return new PlumblineError('NOT_FINITE', `step ${step + 1}: ${what}; its rows are ${named}.`, {
    hint: 'Checkpoints of earlier steps are good, where there are any. Start again with a lower --learning-rate, or look at these rows.',
    cause,
  })
}

/** How far training is; `Totals` are sums since the last line of metrics. */
export interface TrainingState<Totals> {
  step: number
  /** The step of the newest checkpoint; 0 without one. */
  savedStep: number
  /** Rows and tokens seen so far. */
  rows: number
  tokens: number
  totals: Totals
}

/** The state of the last checkpoint with its weights and moments put back, or the beginning. */
export async function restoreTraining<Totals>(
  run: RunFolder,
  parameters: ParameterMap,
  adamw: Adamw,
  emptyTotals: () => Totals,
): Promise<TrainingState<Totals>> {
  const checkpoint = await run.loadCheckpoint()
  if (!checkpoint) return { step: 0, savedStep: 0, rows: 0, tokens: 0, totals: emptyTotals() }
  const { arrays } = checkpoint
  const { training, adamwStep, lateSteps } = checkpoint.state as unknown as SavedState<Totals>
  const moments = (kind: 'first' | 'second') =>
    new Map(
      [...parameters.values()].flatMap(({ name, shape }) => {
        const data = arrays.get(`${kind}.${name}`)
        if (!data) return []
        const moment = createParameter(name, shape)
        moment.data.set(data)
        return [[name, moment] as const]
      }),
    )
  for (const { name, data } of parameters.values()) data.set(arrays.get(`parameter.${name}`)!)
  adamw.loadState({
    step: adamwStep,
    lateSteps: new Map(lateSteps),
    firstMoments: moments('first'),
    secondMoments: moments('second'),
  })
  return training
}

interface SavedState<Totals> {
  readonly training: TrainingState<Totals>
  readonly adamwStep: number
  readonly lateSteps: readonly (readonly [string, number])[]
}

/**
 * Saves weights, moments and state. `metric` decides which checkpoint is the best; lower is better. Throws NOT_FINITE
 * for weights that nobody could go on from: they must not take the place of good ones.
 */
export async function saveTraining<Totals>(
  run: RunFolder,
  parameters: ParameterMap,
  { state: { step, lateSteps, firstMoments, secondMoments } }: Adamw,
  training: TrainingState<Totals>,
  metric?: number,
): Promise<void> {
  const arrays = new Map<string, Float32Array>()
  for (const [name, { data }] of parameters) {
    if (!areFinite(data))
      throw new PlumblineError('NOT_FINITE', `step ${training.step}: ${name} has a weight that is no finite number.`, {
        hint: 'Checkpoints of earlier steps are good, where there are any. Start again with a lower --learning-rate.',
      })
    arrays.set(`parameter.${name}`, data)
  }
  for (const [name, { data }] of firstMoments) arrays.set(`first.${name}`, data)
  for (const [name, { data }] of secondMoments) arrays.set(`second.${name}`, data)
  training.savedStep = training.step
  const state: SavedState<Totals> = { training, adamwStep: step, lateSteps: [...(lateSteps ?? [])] }
  await run.saveCheckpoint({
    step: training.step,
    arrays,
    state: state as never,
    ...(metric !== undefined && { metric }),
  })
}

/** Whether all numbers are finite: x − x is not 0 where x is not. A callback a number would take seconds. */
function areFinite(numbers: Float32Array): boolean {
  let differences = 0
  for (let i = 0; i < numbers.length; i++) differences += numbers[i] - numbers[i]
  return differences === 0
}
