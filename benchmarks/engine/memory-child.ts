/** Trains for a few steps in a process of its own and prints what it took: node memory-child.ts '{"folder": …}' */
import { pathToFileURL } from 'node:url'
import { createAdamw, createComputePool, globalNorm } from '@plumbline/engine'
import { loadLanguageModel } from '@plumbline/models'
import { peakBytes } from '../peak-memory.ts'
import { createTraining } from './training.ts'

export interface MemoryRequest {
  readonly folder: string
  readonly ids: readonly (readonly number[])[]
  readonly microBatch: number
  readonly steps: number
}

export interface MemoryAnswer {
  readonly peak_bytes: number
  /** Of the first step, before any weight changed. */
  readonly gradient_norm: number
}

async function train({ folder, ids, microBatch, steps }: MemoryRequest): Promise<MemoryAnswer> {
  const model = await loadLanguageModel(folder)
  const pool = createComputePool()
  const training = await createTraining(model, { microBatch, batch: ids.length, pool })
  const optimizer = createAdamw(model.parameters, pool, { weightDecay: 0.01 })
  let firstNorm: number | undefined
  for (let step = 0; step < steps; step++) {
    await training.forwardBackward(ids)
    firstNorm ??= globalNorm(training.gradients, pool)
    optimizer.step(training.gradients, { learningRate: 1e-5 })
  }
  await Promise.all([training.dispose(), pool.dispose()])
  return { peak_bytes: peakBytes(), gradient_norm: firstNorm! }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  process.stdout.write(JSON.stringify(await train(JSON.parse(process.argv[2]))))
