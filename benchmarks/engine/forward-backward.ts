/** Forward and backward against torch, and against the matrix products of the same shapes. */
import { createComputePool, globalNorm } from '@plumbline/engine'
import type { Section } from '../bench.ts'
import { checkEqual } from '../check-equal.ts'
import type { Figure } from '../figure.ts'
import { interleave, type Side, timed } from '../interleave.ts'
import type { Peer } from '../peer.ts'
import { createSgemm } from './sgemm.ts'
import { createTraining } from './training.ts'
import type { EngineWorld } from './world.ts'

/** Rows times tokens that our side computes at a time: a trainer would do the same, and memory stays small. */
export const MICRO_BATCH_TOKENS = 768

const LOSS_TOLERANCE = 1e-4
/** Of the norm itself. */
export const NORM_TOLERANCE = 1e-4

/** A batch of `rows` sequences of `time` tokens. */
export interface BatchShape {
  readonly rows: number
  readonly time: number
}

interface TrainingTimes {
  readonly ours: readonly number[]
  readonly torch: readonly number[]
  readonly sgemm: readonly number[]
  readonly peerName: string
  readonly details: Readonly<Record<string, unknown>>
}

const measured = new WeakMap<EngineWorld, Map<string, Promise<TrainingTimes>>>()

/** Times of the products, our step and torch's, A B C A B C; measured once in a run of the bench. */
export function trainingTimes(world: EngineWorld, shape: BatchShape, runs: number): Promise<TrainingTimes> {
  const known = measured.get(world) ?? new Map<string, Promise<TrainingTimes>>()
  measured.set(world, known)
  const key = `${shape.rows}x${shape.time}`
  const times = known.get(key) ?? measure(world, shape, world.runs(runs))
  known.set(key, times)
  return times
}

async function measure(world: EngineWorld, { rows, time }: BatchShape, runs: number): Promise<TrainingTimes> {
  const [model, peer, ids] = [await world.model(), await world.peer(), await world.text(rows, time)]
  const pool = createComputePool({ threads: world.threads })
  const microBatch = Math.max(1, Math.min(rows, Math.floor(MICRO_BATCH_TOKENS / time)))
  const training = await createTraining(model, { microBatch, batch: rows, pool })
  const sgemm = await createSgemm(model, training.gradients, { rows: rows * time, headRows: rows * (time - 1) })
  try {
    const losses = { ours: 0, torch: 0 }
    const ours: Side = async () => {
      const { seconds, result } = await timed(() => training.forwardBackward(ids))
      losses.ours = result
      return seconds
    }
    const attention = peer && (await fasterAttention(peer, ids))
    const torch: Side | undefined = peer && (() => torchStep(peer, ids, attention!, losses))
    const products: Side = async () => (await timed(() => sgemm.run())).seconds
    // The products write over the gradients, whose norm is read at the end: they go first.
    const times = await interleave({ sgemm: products, ours, torch }, { runs })
    const norm = globalNorm(training.gradients, pool)
    if (peer) {
      checkEqual('loss', losses.ours, losses.torch, LOSS_TOLERANCE)
      const answer = await peer.call<{ gradient_norm: number }>('drop_gradients')
      checkEqual("gradient's norm", norm, answer.gradient_norm, NORM_TOLERANCE * answer.gradient_norm)
    }
    return {
      ...times,
      peerName: `${peer?.torch}, ${attention} attention`,
      details: {
        micro_batch: microBatch,
        loss: losses.ours,
        gradient_norm: norm,
        product_gflop: Math.round(sgemm.flops / 1e9),
      },
    }
  } finally {
    await Promise.all([training.dispose(), sgemm.dispose(), pool.dispose()])
  }
}

async function torchStep(
  peer: Peer,
  ids: readonly (readonly number[])[],
  attention: string,
  losses: { torch: number },
): Promise<number> {
  const answer = await peer.call<{ seconds: number; loss: number }>('forward_backward', { ids, attention })
  losses.torch = answer.loss
  return answer.seconds
}

/** torch's better one for this shape, after one call that pays for its memory. */
async function fasterAttention(peer: Peer, ids: readonly (readonly number[])[]): Promise<'eager' | 'sdpa'> {
  const losses = { torch: 0 }
  await torchStep(peer, ids, 'sdpa', losses)
  const eager = await torchStep(peer, ids, 'eager', losses)
  return eager < (await torchStep(peer, ids, 'sdpa', losses)) ? 'eager' : 'sdpa'
}

/** Forward and backward of one batch shape, alone and over its products. */
export function forwardBackward(shape: BatchShape, defaultRuns: number): Section<EngineWorld> {
  const size = `${shape.rows} × ${shape.time}`
  const name = `forward_backward_${shape.rows}x${shape.time}`
  const overTorch: Figure = {
    name,
    title: `forward + backward ${size}`,
    unit: 's',
    better: 'lower',
    goal: { ratio: 1 },
  }
  const overSgemm: Figure = {
    name: `${name}_sgemm`,
    title: `forward + backward ${size} over its products`,
    unit: 's',
    better: 'lower',
    goal: { ratio: 0.75 },
  }
  return {
    figures: [overTorch, overSgemm],
    async run(world, record) {
      const { ours, torch, sgemm, peerName, details } = await trainingTimes(world, shape, defaultRuns)
      record(overTorch, { ours, peer: torch, peerName, details })
      record(overSgemm, { ours, peer: sgemm, peerName: 'sgemm of the same shapes', details })
    },
  }
}
