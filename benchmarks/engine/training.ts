/** Our side of training: the mean next-token cross entropy over all positions and the gradients of all weights. */
import { type ComputePool, compileGradients, type GradientMap, mul, neg, sum } from '@plumbline/engine'
import { buildForward, completionFeeds, type LanguageModel, targetLogprobs } from '@plumbline/models'

export interface Training {
  /** Fills `gradients` and returns the loss of ids [B][T]. */
  forwardBackward(ids: readonly (readonly number[])[]): Promise<number>
  readonly gradients: GradientMap
  dispose(): Promise<void>
}

export interface TrainingOptions {
  /** Rows computed at a time; the gradient of the whole batch is their sum. */
  readonly microBatch: number
  /** Rows of the batch. */
  readonly batch: number
  readonly pool: ComputePool
}

/** Compiles the loss and its gradients. */
export async function createTraining(
  { config, parameters }: LanguageModel,
  { microBatch, batch, pool }: TrainingOptions,
): Promise<Training> {
  const forward = buildForward(config)
  const weights = forward.graph.input('weights', 'float32', ['M'])
  const loss = neg(sum(mul(targetLogprobs(forward), weights)))
  const program = await compileGradients(loss, parameters, { pool, accumulates: microBatch < batch })
  const fixed = Object.fromEntries(parameters)

  return {
    gradients: program.gradients,
    async forwardBackward(ids) {
      const targets = ids.reduce((count, row) => count + row.length - 1, 0)
      let total = 0
      for (let start = 0; start < ids.length; start += microBatch) {
        const rows = ids.slice(start, start + microBatch)
        const feeds = completionFeeds(
          config,
          rows.map((row) => ({ promptIds: row.slice(0, 1), completionIds: row.slice(1) })),
        )
        const [count] = feeds.targets.shape
        const mean = { data: new Float32Array(count).fill(1 / targets), shape: [count] }
        const all = { ...fixed, ...feeds, weights: mean }
        const { loss } = await (start === 0 ? program.run(all) : program.accumulate(all))
        total += loss.data[0] as number
      }
      return total
    },
    dispose: () => program.dispose(),
  }
}
