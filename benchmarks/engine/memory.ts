/** Peak memory of a process that trains: weights, gradients, AdamW's moments and activations. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Section } from '../bench.ts'
import { checkEqual } from '../check-equal.ts'
import type { Figure } from '../figure.ts'
import { interleave, type Side } from '../interleave.ts'
import { startPeer } from '../peer.ts'
import { MICRO_BATCH_TOKENS, NORM_TOLERANCE } from './forward-backward.ts'
import type { MemoryAnswer, MemoryRequest } from './memory-child.ts'
import type { EngineWorld } from './world.ts'

const ROWS = 8
const TIME = 256
const STEPS = 2

const figure: Figure = {
  name: 'training_memory_8x256',
  title: 'peak memory of a training step 8 × 256',
  unit: 'GB',
  better: 'lower',
  goal: { atMost: 6 },
}

/** Ours in micro-batches; torch with the whole batch at once, whose gradient must be the same. */
export const trainingMemory: Section<EngineWorld> = {
  figures: [figure],
  async run(world, record) {
    const [folder, ids, python] = [await world.folder(), await world.text(ROWS, TIME), await world.python()]
    const microBatch = Math.floor(MICRO_BATCH_TOKENS / TIME)
    const norms: { ours?: number; torch?: number } = {}
    const ours: Side = async () => {
      const answer = await trainInChild({ folder, ids, microBatch, steps: STEPS })
      norms.ours = answer.gradient_norm
      return answer.peak_bytes / 1e9
    }
    const torch: Side | undefined =
      python === undefined
        ? undefined
        : async () => {
            const answer = await trainInPython(python, world.threads, { folder, ids, steps: STEPS })
            norms.torch = answer.gradient_norm
            return answer.peak_bytes / 1e9
          }
    const peaks = await interleave({ ours, torch }, { runs: world.runs(1), warmups: 0 })
    if (norms.torch !== undefined)
      checkEqual(
        'norm of the gradient, whole and in micro-batches',
        norms.ours!,
        norms.torch,
        NORM_TOLERANCE * norms.torch,
      )
    record(figure, {
      ours: peaks.ours,
      peer: peaks.torch,
      peerName: 'torch, the whole batch at once',
      details: { micro_batch: microBatch, gradient_norm: norms.ours, is_norm_checked: norms.torch !== undefined },
    })
  },
}

async function trainInChild(request: MemoryRequest): Promise<MemoryAnswer> {
  const child = fileURLToPath(new URL('./memory-child.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [child, JSON.stringify(request)])
  return JSON.parse(stdout)
}

async function trainInPython(python: string, threads: number, request: Readonly<Record<string, unknown>>) {
  const peer = await startPeer(python, threads)
  try {
    return await peer.call<MemoryAnswer>('training_memory', request)
  } finally {
    await peer.close()
  }
}
