/** Updates: several passes over a rollout, each of several optimizer steps on the clipped losses. */
import {
  add,
  compileGradients,
  type Feeds,
  type GradientMap,
  type GradientProgramOptions,
  type Random,
  scale,
  type Tensor,
  type Value,
} from '@plumbline/engine'
import { buildRaggedForward, completionTargets, raggedTargetFeeds } from '@plumbline/models'
import type { PpoConfig } from '../config.ts'
import { microBatches, shuffled, splitEvenly } from '../parts/batches.ts'
import { ppoPolicyLoss, ppoValueLoss, ratioVariance } from '../parts/losses/ppo.ts'
import { entropyFromLogits } from '../parts/losses/token-metrics.ts'
import type { Optimizer } from '../parts/optimization.ts'
import { checkFinite, meansOf, scalars, sumsOf, type TrainerWorld } from '../parts/training.ts'
import { idsOf, type Lesson, tokensOf } from './episode.ts'
import { type Network, networkFeeds, policyOutputs, valueOutputs } from './networks.ts'

export interface Update {
  /** One rollout's updates; metrics are means over its optimizer steps. Throws NOT_FINITE. */
  learn(
    lessons: readonly Lesson[],
    random: Random,
    state: { step: number; totals: { updates: number } },
    optimizer: Optimizer,
  ): Promise<Record<string, number>>
  dispose(): Promise<unknown>
}

/**
 * Networks learn one after the other, all of their steps: no number of one depends on another's, each has its gradient
 * clipped by its own norm, and only one has its activations in memory; its gradients are written over those of the one
 * before. TRL takes the steps of both together, unclipped.
 */
export function createUpdate(
  config: PpoConfig,
  networks: readonly Network[],
  { pool }: Pick<TrainerWorld, 'pool'>,
): Update {
  const learners = new Map<Network, Learner>()
  let gradients: GradientMap | undefined
  async function dispose() {
    await Promise.all([...learners.values()].map((learner) => learner.dispose()))
    learners.clear()
  }

  return {
    async learn(lessons, random, state, optimizer) {
      const batches = miniBatches(lessons, config, random)
      const metrics: Record<string, number>[] = []
      for (const network of networks) {
        if (networks.length > 1) await dispose()
        const learner = learners.get(network) ?? (await createLearner(config, network, { pool, reuse: gradients }))
        learners.set(network, learner)
        gradients = learner.gradients
        metrics.push(await learnBatches(network, learner, batches, state, optimizer))
      }
      state.totals.updates += batches.length
      if (networks.length > 1) await dispose()
      return Object.assign({}, ...metrics)
    },
    dispose,
  }
}

function miniBatches(
  lessons: readonly Lesson[],
  { num_ppo_epochs, num_mini_batches }: PpoConfig,
  random: Random,
): Lesson[][] {
  const epochs = Array.from({ length: num_ppo_epochs }, (_, epoch) => {
    const order = shuffled(lessons.length, random.fork(`epoch ${epoch}`))
    return splitEvenly(order, num_mini_batches)
  })
  return epochs.flat().map((part) => part.map((index) => lessons[index]))
}

/** An optimizer step for each mini-batch; means over them. */
async function learnBatches(
  { prefix }: Network,
  learner: Learner,
  batches: readonly (readonly Lesson[])[],
  { step, totals: { updates } }: { step: number; totals: { updates: number } },
  optimizer: Optimizer,
): Promise<Record<string, number>> {
  const gradients: GradientMap = new Map([...learner.gradients].map(([name, gradient]) => [prefix + name, gradient]))
  const steps: Record<string, number>[] = []
  let lr = 0
  for (const [i, batch] of batches.entries()) {
    const named = { step, rows: batch.map(({ row }) => row) }
    const { loss, ...measures } = await learner.differentiate(batch, step)
    checkFinite('loss', loss, named)
    const { gradNorm, learningRate } = optimizer.step(updates + i, gradients, named)
    lr = learningRate
    steps.push({ ...measures, [prefix === '' ? 'grad_norm' : 'val/grad_norm']: gradNorm })
  }
  return { ...meansOf(steps), lr }
}

interface Learner {
  readonly gradients: GradientMap
  /** The gradients of a mini-batch, its loss, and metrics of it by TRL's names. */
  differentiate(batch: readonly Lesson[], step: number): Promise<Record<string, number> & { loss: number }>
  dispose(): Promise<void>
}

/** The losses of a network's heads and their gradients. */
async function createLearner(
  config: PpoConfig,
  network: Network,
  options: Pick<GradientProgramOptions<never>, 'pool' | 'reuse'>,
): Promise<Learner> {
  const forward = buildRaggedForward(network.config, network.build)
  const { graph } = forward
  const vector = (name: string) => graph.inputs.get(name) ?? graph.input(name, 'float32', ['M'])
  const weights = vector('weights')
  const losses: Tensor[] = []
  const outputs: Record<string, Tensor> = {}
  if (network.heads.includes('policy')) {
    const { logits, logprobs } = policyOutputs(forward, config)
    const { loss, ...measures } = ppoPolicyLoss(logprobs, {
      oldLogprobs: vector('oldLogprobs'),
      advantages: vector('advantages'),
      weights,
      clipRange: config.cliprange,
      entropies: entropyFromLogits(logits),
      entropyCoef: config.entropy_coef,
    })
    losses.push(loss)
    outputs['loss/policy_avg'] = loss
    outputs['policy/approxkl_avg'] = measures.approxKl
    outputs['policy/clipfrac_avg'] = measures.clipFraction
    outputs['policy/entropy_avg'] = measures.entropy!
    outputs['val/ratio'] = measures.ratio
    outputs.ratioDeviation = measures.ratioDeviation
  }
  if (network.heads.includes('value')) {
    const { loss, clipFraction } = ppoValueLoss(valueOutputs(forward, network.config), {
      oldValues: vector('oldValues'),
      returns: vector('returns'),
      weights,
      valueClipRange: config.cliprange_value,
    })
    losses.push(scale(loss, config.vf_coef))
    outputs['loss/value_avg'] = loss
    outputs['val/clipfrac_avg'] = clipFraction
  }
  const program = await compileGradients(
    losses.reduce((sum, loss) => add(sum, loss)),
    network.trained,
    // How long answers get is not known before they are sampled.
    { ...options, accumulates: true, outputs },
  )

  // A run gives the gradients too.
  const measured = ['loss', ...Object.keys(outputs)]

  return {
    gradients: program.gradients,
    async differentiate(batch, step) {
      const tokens = batch.reduce((total, { completionIds }) => total + completionIds.length, 0)
      const parts: Record<string, number>[] = []
      for (const [i, part] of microBatches(batch, tokensOf, config.micro_batch_tokens).entries()) {
        const below = await networkFeeds(network, step, part.map(idsOf))
        const feeds = { ...below, ...lessonFeeds(network, part, tokens) }
        const values: Readonly<Record<string, Value>> = await (i === 0 ? program.run(feeds) : program.accumulate(feeds))
        parts.push(scalars(Object.fromEntries(measured.map((name) => [name, values[name]]))))
      }
      const { ratioDeviation, ...sums } = sumsOf(parts) as Record<string, number> & { loss: number }
      if (ratioDeviation === undefined) return sums
      return { ...sums, 'val/ratio_var': ratioVariance(sums['val/ratio'], ratioDeviation) }
    },
    dispose: () => program.dispose(),
  }
}

/** `tokensOfStep`: completion tokens of the whole mini-batch, of which each weighs the same. */
function lessonFeeds({ config }: Network, lessons: readonly Lesson[], tokensOfStep: number): Feeds {
  const join = (part: (lesson: Lesson) => ArrayLike<number>) => {
    const data = Float32Array.from(lessons.flatMap((lesson) => Array.from(part(lesson))))
    return { data, shape: [data.length] }
  }
  return {
    ...raggedTargetFeeds(config, lessons.map(completionTargets)),
    oldLogprobs: join(({ oldLogprobs }) => oldLogprobs),
    oldValues: join(({ oldValues }) => oldValues),
    advantages: join(({ advantages }) => advantages),
    returns: join(({ returns }) => returns),
    weights: join(({ completionIds }) => completionIds.map(() => 1 / tokensOfStep)),
  }
}
