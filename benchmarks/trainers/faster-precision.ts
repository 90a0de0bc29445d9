import { timed } from '../interleave.ts'
import type { Turn } from './turns.ts'
import type { TrainersWorld } from './world.ts'

/** bf16: autocast, over weights in fp32. */
export type Precision = 'fp32' | 'bf16'

export interface FasterPrecision {
  readonly precision: Precision
  /** Of the measured steps; null where bf16 took longer from its start to its first step than fp32 did for all. */
  readonly seconds: { readonly fp32: number; readonly bf16: number | null }
  readonly firstInFp32: Turn
}

/** bf16 may take so many times as long as all of fp32 did, before it is given up. */
const PATIENCE = 1.25

/**
 * TRL in both precisions, each in a process of its own and one after the other: its first step and `count` measured ones.
 * Undefined where there is no TRL. Processors without instructions for bf16 take many times as long; nobody waits for it.
 */
export async function fasterPrecision(
  world: TrainersWorld,
  op: string,
  request: Readonly<Record<string, unknown>>,
  count: number,
): Promise<FasterPrecision | undefined> {
  const measure = async (precision: Precision, signal?: AbortSignal) => {
    const trainer = await world.trl(op, { ...request, bf16: precision === 'bf16' }, signal)
    if (trainer === undefined) return undefined
    const { seconds } = await trainer.steps(count).finally(() => trainer.close())
    return { first: trainer.first, seconds }
  }
  const { seconds: allSeconds, result: fp32 } = await timed(() => measure('fp32'))
  if (fp32 === undefined) return undefined
  const patience = AbortSignal.timeout(Math.ceil(PATIENCE * allSeconds * 1000))
  const bf16 = await measure('bf16', patience).catch((error) => {
    if (patience.aborted) return undefined
    throw error
  })
  const seconds = { fp32: fp32.seconds, bf16: bf16?.seconds ?? null }
  world.log(
    `  TRL, ${count} steps: fp32 ${seconds.fp32.toFixed(1)} s, bf16 ${seconds.bf16?.toFixed(1) ?? 'given up'} s`,
  )
  const precision = bf16 && bf16.seconds < fp32.seconds ? 'bf16' : 'fp32'
  return { precision, seconds, firstInFp32: fp32.first }
}
