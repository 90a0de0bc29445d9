/** Updates: several passes over a rollout, each of several optimizer steps on the clipped losses. */
import { add, compileGradients, type Feeds, type GradientMap, type Random, scale, type Tensor } from '@plumbline/engine'
import { buildRaggedForward, completionTargets, raggedTargetFeeds } from '@plumbline/models'
import type { PpoConfig } from '../config.ts'
import { microBatches, shuffled, splitEvenly } from '../parts/batches.ts'
import { ppoPolicyLoss, ppoValueLoss, ratioVariance } from '../parts/losses/ppo.ts'
import { entropyFromLogits } from '../parts/losses/token-metrics.ts'
import type { Optimizer } from '../parts/optimization.ts'
import { checkFinite, meansOf, scalars, sumsOf, type TrainerWorld } from '../parts/training.ts'
import { type Lesson, tokensOf } from './episode.ts'
import { type Network, policyOutputs, prefixed, valueOutputs } from './networks.ts'

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

export async function createUpdate(
  config: PpoConfig,
  networks: readonly Network[],
  { pool }: Pick<TrainerWorld, 'pool'>,
): Promise<Update> {
  const learners = await Promise.all(networks.map((network) => createLearner(config, network, pool)))
  const gradients: GradientMap = prefixed(
    networks,
    (_network, i) => learners[i].gradients,
    (gradient) => gradient,
  )

  /** The gradients of a mini-batch, and its losses and other measures. */
  async function differentiate(batch: readonly Lesson[], step: number): Promise<Measures> {
    const measures: Measures[] = []
    for (const learner of learners) measures.push(await learner.differentiate(batch, step))
    return Object.assign({}, ...measures, { loss: measures.reduce((sum, { loss }) => sum + loss, 0) })
  }

  return {
    async learn(lessons, random, state, optimizer) {
      const steps: Measures[] = []
      for (let epoch = 0; epoch < config.num_ppo_epochs; epoch++) {
        const order = shuffled(lessons.length, random.fork(`epoch ${epoch}`))
        for (const part of splitEvenly(order, config.num_mini_batches)) {
          const batch = part.map((index) => lessons[index])
          const named = { step: state.step, rows: batch.map(({ row }) => row) }
          const measures = await differentiate(batch, state.step)
          checkFinite('loss', measures.loss, named)
          const { gradNorm, learningRate } = optimizer.step(state.totals.updates++, gradients, named)
          const ratioVar = ratioVariance(measures['val/ratio'], measures.ratioDeviation)
          steps.push({ ...measures, 'val/ratio_var': ratioVar, grad_norm: gradNorm, lr: learningRate })
        }
      }
      const { loss: _loss, ratioDeviation: _ratioDeviation, ...metrics } = meansOf(steps)
      return { ...metrics, lr: steps.at(-1)!.lr }
    },
    dispose: () => Promise.all(learners.map((learner) => learner.dispose())),
  }
}

/** Numbers by TRL's names where they are metrics. */
type Measures = Readonly<Record<string, number>>

/** The losses of a network's heads and their gradients. */
async function createLearner(config: PpoConfig, network: Network, pool: TrainerWorld['pool']) {
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
    { pool, accumulates: true, outputs },
  )

  return {
    gradients: program.gradients,
    async differentiate(batch: readonly Lesson[], step: number): Promise<Measures & { readonly loss: number }> {
      const tokens = batch.reduce((total, { completionIds }) => total + completionIds.length, 0)
      const parts: Record<string, number>[] = []
      for (const [i, part] of microBatches(batch, tokensOf, config.micro_batch_tokens).entries()) {
        const feeds = { ...network.feeds(step), ...lessonFeeds(network, part, tokens) }
        parts.push(scalars(await (i === 0 ? program.run(feeds) : program.accumulate(feeds))))
      }
      return sumsOf(parts) as Measures & { loss: number }
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
