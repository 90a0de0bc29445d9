/**
 * Proximal policy optimisation of a language model against a reward model (Schulman et al. 2017; Ziegler et al. 2019;
 * Stiennon et al. 2020). Each iteration:
 *
 *   rollout    y ~ π(· | x) at the temperature; log π_old, log π_ref and values V by one forward pass each
 *   credit     r_t = −klCoef · (log π_old − log π_ref)_t, plus the normalised score at the last real token; generalized
 *              advantages and returns over the completion's real tokens; advantages whitened over the batch
 *   update     several epochs of clipped policy and value losses over mini-batches
 *
 * Log-probabilities are those of logits / temperature, everywhere alike.
 */
import { PlumblineError } from '@plumbline/contracts'
import { createRandom } from '@plumbline/engine'
import { checkRewardModel, type LanguageModel } from '@plumbline/models'
import type { PpoConfig, PromptRow } from './config.ts'
import { gae, whiten } from './parts/advantages.ts'
import { createKlController } from './parts/kl.ts'
import { createOptimizer } from './parts/optimization.ts'
import { createStopwatch } from './parts/stopwatch.ts'
import { shapeScores, tokenRewards } from './parts/token-rewards.ts'
import { makeTrainable, type Trainable } from './parts/trainable.ts'
import { isDue, restoreTraining, saveTraining, stopIfAsked, type TrainerWorld } from './parts/training.ts'
import { type EncodedPrompt, type Episode, type Lesson, sampleRow, tokensOf } from './ppo/episode.ts'
import { checkPpoMemory } from './ppo/memory.ts'
import { checkModels, hashOf, type PpoModels } from './ppo/models.ts'
import { copyOf, createNetworks, trainedParameters } from './ppo/networks.ts'
import { normalizationOf } from './ppo/normalization.ts'
import { encodePrompts, planIterations } from './ppo/prompts.ts'
import { createRollout } from './ppo/rollout.ts'
import { checkRollout, type FirstScores, firstScoresOf } from './ppo/runaway.ts'
import { createUpdate } from './ppo/update.ts'

export interface PpoResult {
  readonly trainable: Trainable
  readonly iterations: number
}

/**
 * Trains the policy in place (or an adapter on it). Throws POLICY_RAN_AWAY, SAMPLER_DISAGREES, TOKENIZER_MISMATCH,
 * REFERENCE_MISMATCH, REFERENCE_CHANGED, NOT_A_LANGUAGE_MODEL, NOT_A_REWARD_MODEL, NOTHING_TO_LEARN, NOT_FINITE,
 * SCORES_NOT_FINITE, REFERENCE_NOT_FINITE, MEMORY_SHORT.
 */
export async function trainPpo(
  config: PpoConfig,
  models: PpoModels,
  rows: readonly PromptRow[],
  world: TrainerWorld,
): Promise<PpoResult> {
  const { policy, rewardModel } = models
  const { run, pool, signal, log } = world
  checkModels(models)
  if (config.kl_estimator === 'k3')
    log(
      '--kl-estimator k3: in a reward its gradient is not that of the KL and may point away from the reference; k1 has it.',
    )
  checkRewardModel(rewardModel.config, rewardModel.parameters)
  const { prompts, trainable, random } = preparePpo(config, models, rows, world)
  const reference = referenceOf(config, models)
  const referenceHash = hashOf(reference.parameters)
  const networks = await createNetworks(config, models, trainable, random)
  const parameters = trainedParameters(networks)
  const plan = planIterations(prompts.length, config, random)
  const optimizer = createOptimizer(
    parameters,
    pool,
    config,
    plan.length * config.num_ppo_epochs * config.num_mini_batches,
  )
  const stopwatch = createStopwatch(world.clock)
  const rollout = await createRollout(config, { policy, trainable, networks, reference, rewardModel }, stopwatch)
  const update = createUpdate(config, networks, world)
  const state = await restoreTraining(run, parameters, optimizer.adamw, (): Totals => {
    return { klCoef: config.kl_coef, updates: 0 }
  })
  const controller = createKlController(klOptions(config), { klCoef: state.totals.klCoef })
  const save = async () => {
    if (hashOf(reference.parameters) !== referenceHash) throw referenceChanged()
    await saveTraining(run, parameters, optimizer.adamw, state)
  }
  world.onStep(state.step, plan.length)

  while (state.step < plan.length) {
    await stopIfAsked(signal, state, save)
    const batch = plan[state.step].map((index) => prompts[index])
    const collect = (prompts: readonly EncodedPrompt[]) =>
      rollout.collect(prompts, { seed: random.fork(`rollout ${state.step}`).uint32(), step: state.step })
    const episodes = await collect(batch)
    const { totals } = state
    totals.firstScores ??= firstScoresOf(episodes, rewardModel)
    checkRollout(episodes, totals.firstScores, config, state)
    const { klCoef } = controller
    const { lessons, metrics } = credit(episodes, klCoef, config, rewardModel)
    const difference = metrics[SAMPLER_DIFFERENCE]
    if (difference > MOST_SAMPLER_DIFFERENCE)
      log(
        `step ${state.step + 1}: log-probabilities of the sampler and of training differ by ${difference.toFixed(3)} a token (usual: below ${MOST_SAMPLER_DIFFERENCE}): updates are of another policy than the one that answered.`,
      )
    // Not right after its update: only this rollout has shown that the policy did not run away.
    if (state.step !== state.savedStep && isDue(state.step, config.save_steps)) await save()
    const learned = await stopwatch.time('update', () =>
      update.learn(lessons, random.fork(`update ${state.step}`), state, optimizer),
    )
    controller.update(metrics['objective/kl'], episodes.length)
    totals.klCoef = controller.klCoef
    state.step++
    state.rows += episodes.length
    state.tokens += episodes.reduce((count, episode) => count + tokensOf(episode), 0)
    const seconds = stopwatch.take()
    const isLast = state.step === plan.length
    if (isLast || isDue(state.step, config.logging_steps))
      run.logMetrics(state.step, {
        epoch: state.rows / prompts.length,
        episode: state.rows,
        eps: episodes.length / Object.values(seconds).reduce((sum, x) => sum + x, 0),
        ...metrics,
        ...learned,
        'objective/kl_coef': klCoef,
        ...seconds,
      })
    if (isLast || isDue(state.step, config.logging_steps * 5))
      run.logSamples(state.step, episodes.slice(0, 8).map(sampleRow))
    if (isLast) {
      checkRollout(await collect(batch.slice(0, ANSWERS_OF_LAST_CHECK)), totals.firstScores, config, state)
      await save()
    }
    world.onStep(state.step, plan.length)
  }
  await Promise.all([rollout, update, ...networks.map(({ frozen }) => frozen)].map((part) => part?.dispose()))
  return { trainable, iterations: plan.length }
}

/**
 * The prompts and what is trained: all that is known before the first iteration, for which nothing is computed or copied.
 * Throws what is wrong with it, and MEMORY_SHORT.
 */
export function preparePpo(
  config: PpoConfig,
  models: PpoModels,
  rows: readonly PromptRow[],
  { log, availableBytes }: Pick<TrainerWorld, 'log' | 'availableBytes'>,
) {
  const random = createRandom(config.seed)
  const prompts = encodePrompts(config, models, rows, log)
  const trainable = makeTrainable(models.policy, config, random)
  checkPpoMemory(config, models, trainable, prompts, availableBytes)
  return { prompts, trainable, random }
}

/** What goes on from one iteration to the next. */
interface Totals {
  klCoef: number
  /** Optimizer steps. */
  updates: number
  /** There from the first rollout on. */
  firstScores?: FirstScores
}

/** TRL's name. A mean above the bound is no rounding; a sampler of other weights or another temperature gives it. */
const SAMPLER_DIFFERENCE = 'sampling/sampling_logp_difference/mean'
const MOST_SAMPLER_DIFFERENCE = 0.02

/** The last policy has no next rollout. To see a policy that ran away takes few answers. */
const ANSWERS_OF_LAST_CHECK = 8

/** The policy as it starts, unless there is another. A policy that is trained whole is copied: updates cannot reach it. */
function referenceOf({ use_peft }: PpoConfig, { policy, referenceModel }: PpoModels) {
  const { config, parameters } = referenceModel ?? policy
  const isPolicyTrunk = use_peft && !referenceModel
  return { config, parameters: use_peft || referenceModel ? parameters : copyOf(parameters), isPolicyTrunk }
}

function klOptions({ kl_coef: klCoef, kl_target: target, kl_horizon: horizon }: PpoConfig) {
  return target === undefined
    ? ({ type: 'fixed', klCoef } as const)
    : ({ type: 'adaptive', klCoef, target, horizon } as const)
}

/** Rewards, advantages and returns of a rollout, and its metrics. */
function credit(episodes: readonly Episode[], klCoef: number, config: PpoConfig, rewardModel: LanguageModel) {
  const scores = shapeScores(
    episodes.map(({ score }) => score),
    episodes.map(({ hasEos }) => hasEos),
    {
      ...normalizationOf(rewardModel, config),
      missingEosPenalty: config.missing_eos_penalty,
    },
  )
  const lengths = episodes.map(({ completionIds }) => completionIds.length)
  const policyLogprobs = episodes.map(({ oldLogprobs }) => oldLogprobs)
  const refLogprobs = episodes.map((episode) => episode.refLogprobs)
  const { rewards, kl, nonScoreRewards } = tokenRewards(
    { policyLogprobs, refLogprobs, lengths, scores },
    { klCoef, klEstimator: config.kl_estimator, whitenRewards: config.whiten_rewards },
  )
  const values = episodes.map(({ oldValues }) => oldValues)
  const { advantages, returns } = gae(rewards, values, lengths, { gamma: config.gamma, gaeLambda: config.lam })
  const whitened = whiten(advantages)
  // Should be rounding: nothing else may lie between the sampler and the graph that is trained.
  const differences = episodes.flatMap(({ drawnLogprobs, oldLogprobs }) =>
    drawnLogprobs.map((logprob, t) => Math.abs(logprob - oldLogprobs[t])),
  )
  const meanOf = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
  const sumOf = (row: ArrayLike<number>) => Array.from(row).reduce((sum, x) => sum + x, 0)
  const nonScore = meanOf(nonScoreRewards.map(sumOf))
  return {
    lessons: episodes.map((episode, i): Lesson => ({ ...episode, advantages: whitened[i], returns: returns[i] })),
    metrics: {
      'objective/kl': meanOf(kl.map(sumOf)),
      'objective/entropy': meanOf(policyLogprobs.map((row) => -sumOf(row))),
      'objective/non_score_reward': nonScore,
      'objective/scores': meanOf(scores),
      'objective/rlhf_reward': nonScore + meanOf(scores),
      'val/num_eos_tokens': episodes.filter(({ hasEos }) => hasEos).length,
      'completions/mean_length': meanOf(lengths),
      [SAMPLER_DIFFERENCE]: meanOf(differences),
    },
  }
}

/** A policy that was held to what moved is not saved. */
const referenceChanged = () =>
  new PlumblineError('REFERENCE_CHANGED', 'the frozen reference model changed during training.', {
    hint: 'This is a bug in Plumbline: do not use the checkpoints of this run.',
  })
