/** Our side of training: the mean next-token cross entropy over all positions and the gradients of all weights. */
import {
  addGradients,
  type ComputePool,
  compile,
  createParameter,
  type GradientMap,
  gradients,
  mul,
  neg,
  sum,
  zeroGradients,
} from '@plumbline/engine'
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
  const wrt = [...forward.graph.parameters.values()]
  const wrtGradients = gradients(loss, wrt)
  const outputs = Object.fromEntries(wrt.map(({ id }, i) => [id, wrtGradients[i]!]))
  const program = await compile<string>(forward.graph, { loss, ...outputs })
  const buffers = () => Object.fromEntries(wrt.map(({ id, shape }) => [id, createParameter(id, shape as number[])]))
  const into = buffers()
  const part = asMap(into)
  const total = microBatch < batch ? asMap(buffers()) : part
  const fixed = Object.fromEntries(parameters)

  async function run(ids: readonly (readonly number[])[], targets: number): Promise<number> {
    const rows = ids.map((row) => ({ promptIds: row.slice(0, 1), completionIds: row.slice(1) }))
    const feeds = completionFeeds(config, rows)
    const shape = feeds.targets.shape
    const mean = { data: new Float32Array(shape[0]).fill(1 / targets), shape }
    const values = await program.run({ ...fixed, ...feeds, weights: mean }, into)
    return values.loss.data[0] as number
  }

  return {
    gradients: total,
    async forwardBackward(ids) {
      const targets = ids.reduce((count, row) => count + row.length - 1, 0)
      if (total === part) return run(ids, targets)
      zeroGradients(total, pool)
      let loss = 0
      for (let row = 0; row < ids.length; row += microBatch) {
        loss += await run(ids.slice(row, row + microBatch), targets)
        addGradients(total, part, pool)
      }
      return loss
    },
    dispose: () => program.dispose(),
  }
}

function asMap(parameters: Readonly<Record<string, ReturnType<typeof createParameter>>>): GradientMap {
  return new Map(Object.entries(parameters).map(([name, { data }]) => [name, data]))
}
