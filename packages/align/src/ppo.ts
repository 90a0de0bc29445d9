/**
 * Proximal policy optimisation of a language model against a reward model (Schulman et al. 2017; Ziegler et al. 2019;
 * Stiennon et al. 2020). Each iteration:
 *
 *   rollout    y ~ π(· | x) at the temperature; log π_old, log π_ref and values V by one forward pass each
 *   rewards    r_t = −klCoef · (log π_old − log π_ref)_t, plus the reward model's score at the last real token
 *   credit     generalized advantages and returns over the completion's real tokens; advantages whitened over the batch
 *   update     several epochs of clipped policy and value losses over mini-batches
 *
 * Log-probabilities are those of logits / temperature, everywhere alike. The value head reads the policy's own trunk.
 */
import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import {
  add,
  compile,
  compileGradients,
  createParameter,
  createRandom,
  div,
  type Feeds,
  matmul,
  type ParameterMap,
  reshape,
  scale,
  tokenLogprobs,
  type Value,
} from '@plumbline/engine'
import {
  buildRaggedForward,
  completionTargets,
  createDecoder,
  createRewardScorer,
  createTextStream,
  type Forward,
  generate,
  type LanguageModel,
  raggedTargetFeeds,
  rowsOf,
} from '@plumbline/models'
import type { PpoConfig, PromptRow } from './config.ts'
import { gae, whiten } from './parts/advantages.ts'
import { microBatches, planBatches, shuffled, splitEvenly } from './parts/batches.ts'
import { encodePrompt } from './parts/encode.ts'
import type { JsonValue } from './parts/json-value.ts'
import { createKlController } from './parts/kl.ts'
import { ppoPolicyLoss, ppoValueLoss, ratioVariance } from './parts/losses/ppo.ts'
import { entropyFromLogits } from './parts/losses/token-metrics.ts'
import { checkMemory, numbersIn } from './parts/memory.ts'
import { createOptimizer } from './parts/optimization.ts'
import { rowName } from './parts/row-place.ts'
import { shapeScores, tokenRewards } from './parts/token-rewards.ts'
import { makeTrainable, type Trainable } from './parts/trainable.ts'
import {
  addTo,
  checkFinite,
  isDue,
  notFinite,
  restoreTraining,
  saveTraining,
  scalars,
  stopIfAsked,
  type TrainerWorld,
} from './parts/training.ts'

export interface PpoModels {
  readonly policy: LanguageModel
  readonly rewardModel: LanguageModel
}

export interface PpoResult {
  readonly trainable: Trainable
  readonly iterations: number
}

/** A prompt as tokens, and where it stands in the data, from 1. */
interface EncodedPrompt {
  readonly prompt: PromptRow['prompt']
  readonly promptIds: readonly number[]
  readonly row: number
}

/** One sampled answer and all that is known of it. Numbers by token of the completion. */
interface Episode extends EncodedPrompt {
  readonly completionIds: readonly number[]
  readonly text: string
  readonly hasEos: boolean
  readonly oldLogprobs: Float32Array
  readonly refLogprobs: Float32Array
  readonly oldValues: Float32Array
  readonly score: number
}

/** An episode with what it teaches. */
interface Lesson extends Episode {
  readonly advantages: Float64Array
  readonly returns: Float64Array
}

const VALUE_HEAD = { weight: 'value_head.weight', bias: 'value_head.bias' }

/** Trains the policy in place (or an adapter on it). Throws POLICY_RAN_AWAY, TOKENIZER_MISMATCH, NOT_FINITE, MEMORY_SHORT. */
export async function trainPpo(
  config: PpoConfig,
  { policy, rewardModel }: PpoModels,
  rows: readonly PromptRow[],
  world: TrainerWorld,
): Promise<PpoResult> {
  const { run, pool, signal } = world
  checkSameTokenizer(policy, rewardModel)
  const random = createRandom(config.seed)
  const prompts = encodePrompts(config, { policy, rewardModel }, rows, world)
  const reference = frozenCopy(policy.parameters)
  const referenceHash = hashOf(reference)
  const trainable = makeTrainable(policy, config, random)
  const parameters = withValueHead(trainable.parameters, policy)
  checkMemory(
    {
      config: policy.config,
      parameters: numbersIn(policy.parameters),
      trainable: numbersIn(parameters),
      // The reference, the reward model, and the weights that the decoder packs.
      copies: 3,
      microBatchTokens: config.micro_batch_tokens,
      longestRow: Math.max(...prompts.map(({ promptIds }) => promptIds.length)) + config.response_length,
    },
    {
      availableBytes: world.availableBytes,
      flags: ['--micro-batch-tokens', '--response-length'],
      canAdapt: !config.use_peft,
    },
  )
  const plan = planIterations(prompts.length, config, random)
  const optimizer = createOptimizer(
    parameters,
    pool,
    config,
    plan.length * config.num_ppo_epochs * config.num_mini_batches,
  )
  const update = await createUpdate(config, policy, trainable, parameters, world)
  const rollout = await createRollout(config, policy, rewardModel, trainable, parameters, reference)
  const state = await restoreTraining(run, parameters, optimizer.adamw, () => ({ klCoef: config.kl_coef, updates: 0 }))
  const controller = createKlController(klOptions(config), { klCoef: state.totals.klCoef })

  while (state.step < plan.length) {
    await stopIfAsked(signal, state, () => saveTraining(run, parameters, optimizer.adamw, state))
    const batch = plan[state.step].map((index) => prompts[index])
    const named = { step: state.step, rows: batch.map(({ row }) => row) }
    const episodes = await rollout
      .collect(batch, random.fork(`rollout ${state.step}`).uint32(), state.step)
      .catch((error) =>
        Promise.reject(
          error.code === 'LOGITS_NOT_FINITE'
            ? notFinite('the policy gives scores that are not finite', named, error)
            : error,
        ),
      )
    checkFinite(
      'sum of the scores',
      episodes.reduce((sum, { score }) => sum + score, 0),
      named,
    )
    const { lessons, metrics } = credit(episodes, controller.klCoef, config, rewardModel)
    checkRunaway(metrics, config, state.step)
    // Not right after its update: only this rollout has shown that the policy did not run away.
    if (state.step !== state.savedStep && isDue(state.step, config.save_steps))
      await saveTraining(run, parameters, optimizer.adamw, state)
    const learned = await update.learn(lessons, random.fork(`update ${state.step}`), state, optimizer)
    controller.update(metrics['objective/kl'], episodes.length)
    state.totals.klCoef = controller.klCoef
    state.step++
    state.rows += episodes.length
    state.tokens += episodes.reduce(
      (count, { promptIds, completionIds }) => count + promptIds.length + completionIds.length,
      0,
    )
    const isLast = state.step === plan.length
    if (isLast || isDue(state.step, config.logging_steps))
      run.logMetrics(state.step, {
        epoch: state.rows / prompts.length,
        episode: state.rows,
        ...metrics,
        ...learned,
        'objective/kl_coef': controller.klCoef,
      })
    if (isLast || isDue(state.step, config.logging_steps * 5))
      run.logSamples(state.step, episodes.slice(0, 8).map(sample))
    if (isLast) await saveTraining(run, parameters, optimizer.adamw, state)
    world.onStep(state.step, plan.length)
  }
  if (hashOf(reference) !== referenceHash)
    throw new PlumblineError(
      'REFERENCE_CHANGED',
      'the frozen reference model changed during training. This is a bug in Plumbline.',
    )
  await Promise.all([rollout.dispose(), update.dispose()])
  return { trainable, iterations: plan.length }
}

/** Prompts as tokens. Those whose answers would not fit into both models are left out, and said. */
function encodePrompts(
  { response_length }: PpoConfig,
  { policy, rewardModel }: PpoModels,
  rows: readonly PromptRow[],
  { log }: TrainerWorld,
): EncodedPrompt[] {
  const limit = Math.min(policy.config.maxPositions, rewardModel.config.maxPositions) - response_length
  const encoded = rows.map((row, i) => {
    return { prompt: row.prompt, promptIds: encodePrompt(policy.tokenizer, row.prompt, rowName(row, i)), row: i + 1 }
  })
  const kept = encoded.filter(({ promptIds }) => promptIds.length <= limit)
  if (kept.length === 0)
    throw new PlumblineError(
      'NOTHING_TO_LEARN',
      `no prompt leaves room for an answer of ${response_length} tokens: at most ${limit} tokens of a prompt fit.`,
      { hint: 'Lower --response-length, or shorten the prompts.' },
    )
  if (kept.length < rows.length)
    log(
      `${rows.length - kept.length} of ${rows.length} prompts are longer than ${limit} tokens, which leaves no room for the answer, and were left out.`,
    )
  return kept
}

function planIterations(prompts: number, config: PpoConfig, random: ReturnType<typeof createRandom>): number[][] {
  const batchSize = config.per_device_train_batch_size * config.gradient_accumulation_steps
  const steps = config.total_episodes === undefined ? config.max_steps : Math.ceil(config.total_episodes / batchSize)
  // A batch is always full: prompts repeat when there are fewer than episodes.
  const repeats = Math.max(1, Math.ceil(batchSize / prompts))
  const lengths = new Array<number>(prompts * repeats).fill(1)
  return planBatches(lengths, { batchSize, epochs: config.num_train_epochs, maxSteps: steps, random }).map((batch) =>
    batch.map((index) => index % prompts),
  )
}

function klOptions({ kl_coef: klCoef, kl_target: target, kl_horizon: horizon }: PpoConfig) {
  return target === undefined
    ? ({ type: 'fixed', klCoef } as const)
    : ({ type: 'adaptive', klCoef, target, horizon } as const)
}

/** A copy in memory of its own, so that the policy's updates cannot reach it. */
function frozenCopy(parameters: ParameterMap): ParameterMap {
  return new Map(
    [...parameters].map(([name, { shape, data }]) => {
      const copy = createParameter(name, shape)
      copy.data.set(data)
      return [name, copy]
    }),
  )
}

function hashOf(parameters: ParameterMap): string {
  const hash = createHash('sha256')
  for (const { data } of parameters.values()) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return hash.digest('hex')
}

/** Zeros: before it has learned, the value model says nothing. */
function withValueHead(parameters: ParameterMap, { config }: LanguageModel): ParameterMap {
  return new Map([
    ...parameters,
    [VALUE_HEAD.weight, createParameter(VALUE_HEAD.weight, [1, config.hiddenSize])],
    [VALUE_HEAD.bias, createParameter(VALUE_HEAD.bias, [1])],
  ])
}

/** Log-probabilities of the targets and, from the same hidden states, the logits and values, [M]. */
function policyOutputs(forward: Forward, { temperature }: PpoConfig, { config }: LanguageModel) {
  const { graph, model } = forward
  const rows = graph.input('rows', 'int32', ['M'])
  const logits = div(forward.logitsAt(rows), graph.constant(temperature))
  const logprobs = tokenLogprobs(logits, graph.input('targets', 'int32', ['M']))
  const weight = model.parameter(VALUE_HEAD.weight, [1, config.hiddenSize])
  const product = matmul(rowsOf(forward.hidden, rows), weight, { transposeB: true })
  const values = add(reshape(product, { shape: ['M'] }), model.parameter(VALUE_HEAD.bias, [1]))
  return { logits, logprobs, values }
}

/** Rollouts: sampling, then one forward pass each of policy, reference and reward model. */
async function createRollout(
  config: PpoConfig,
  policy: LanguageModel,
  rewardModel: LanguageModel,
  trainable: Trainable,
  parameters: ParameterMap,
  reference: ParameterMap,
) {
  const forward = buildRaggedForward(policy.config, trainable.evaluationBuild)
  const { logprobs, values } = policyOutputs(forward, config, policy)
  const policyProgram = await compile(forward.graph, { logprobs, values })
  const refForward = buildRaggedForward(policy.config)
  const refProgram = await compile(refForward.graph, { logprobs: policyOutputs(refForward, config, policy).logprobs })
  const scorer = await createRewardScorer(rewardModel.config, rewardModel.parameters)
  const refWeights: Record<string, Value> = Object.fromEntries(reference)

  async function sampleAnswers(prompts: readonly { promptIds: readonly number[] }[], seed: number) {
    const longest = Math.max(...prompts.map(({ promptIds }) => promptIds.length))
    const length = longest + config.response_length
    const decoder = await createDecoder(policy.config, trainable.merged(), {
      slots: Math.min(prompts.length, 32),
      length,
    })
    const answers = new Array<{ tokenIds: readonly number[]; text: string; finishReason: string }>(prompts.length)
    const options = {
      maxNewTokens: config.response_length,
      temperature: config.temperature,
      topP: 1,
      topK: 0,
      repetitionPenalty: 1,
      numGenerations: 1,
      seed,
      stop: [],
      stopTokenIds: policy.stopTokenIds,
      createTextStream: () => createTextStream(policy.tokenizer, { skipSpecialTokens: true }),
    }
    for await (const completion of generate(
      decoder,
      prompts.map(({ promptIds }) => promptIds),
      options,
    ))
      answers[completion.promptIndex] = completion
    await decoder.dispose()
    return answers
  }

  return {
    async collect(prompts: readonly EncodedPrompt[], seed: number, step: number): Promise<Episode[]> {
      const answers = await sampleAnswers(prompts, seed)
      const drafts = prompts.map((prompt, i) => {
        const { tokenIds: completionIds, text, finishReason } = answers[i]
        return { ...prompt, completionIds, text, hasEos: finishReason === 'stop' }
      })
      const scores = await scorer.rewards(
        drafts.map(({ promptIds, completionIds }) => [...promptIds, ...completionIds]),
      )
      const episodes = new Array<Episode>(drafts.length)
      const indexed = drafts.map((draft, index) => ({ ...draft, index }))
      for (const part of microBatches(indexed, episodeLength, config.micro_batch_tokens)) {
        const feeds = raggedTargetFeeds(policy.config, part.map(completionTargets))
        const own = { ...trainable.feeds(step), ...Object.fromEntries(parameters) }
        const now = await policyProgram.run({ ...own, ...feeds })
        const ref = await refProgram.run({ ...refWeights, ...feeds })
        let end = 0
        for (const { index, ...draft } of part) {
          end += draft.completionIds.length
          const part = ({ data }: Value) => (data as Float32Array).slice(end - draft.completionIds.length, end)
          episodes[index] = {
            ...draft,
            score: scores[index],
            oldLogprobs: part(now.logprobs),
            oldValues: part(now.values),
            refLogprobs: part(ref.logprobs),
          }
        }
      }
      return episodes
    },
    dispose: () => Promise.all([policyProgram.dispose(), refProgram.dispose(), scorer.dispose()]),
  }
}

const episodeLength = ({ promptIds, completionIds }: Pick<Episode, 'promptIds' | 'completionIds'>) =>
  promptIds.length + completionIds.length

/** Rewards, advantages and returns of a rollout, and its metrics. */
function credit(episodes: readonly Episode[], klCoef: number, config: PpoConfig, rewardModel: LanguageModel) {
  const { mean, std } = rewardModel.rawConfig as { mean?: number; std?: number }
  const scores = shapeScores(
    episodes.map(({ score }) => score),
    episodes.map(({ hasEos }) => hasEos),
    {
      ...(config.normalize_reward && mean !== undefined && std !== undefined && { mean, std }),
      ...(config.missing_eos_penalty !== undefined && {
        missingEos: { penalty: config.missing_eos_penalty, mode: 'subtract' as const },
      }),
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
    },
  }
}

function checkRunaway(metrics: Record<string, number>, { max_kl }: PpoConfig, step: number): void {
  const kl = metrics['objective/kl']
  const score = metrics['objective/scores']
  if (Number.isFinite(score) && Number.isFinite(kl) && kl <= max_kl) return
  throw new PlumblineError(
    'POLICY_RAN_AWAY',
    `iteration ${step + 1}: the policy has left its reference: KL ${kl.toFixed(1)} nats an answer (at most ${max_kl}), score ${score.toFixed(2)}.`,
    {
      hint: 'Checkpoints of earlier steps are good. Start again with a higher --kl-coef, a lower --learning-rate, or a --kl-target.',
    },
  )
}

/** Epochs of mini-batches over a rollout. */
async function createUpdate(
  config: PpoConfig,
  policy: LanguageModel,
  trainable: Trainable,
  parameters: ParameterMap,
  { pool }: TrainerWorld,
) {
  // Without dropout, as at rollout: with it the first ratio would not be 1.
  const forward = buildRaggedForward(policy.config, trainable.evaluationBuild)
  const { graph } = forward
  const { logits, logprobs, values } = policyOutputs(forward, config, policy)
  const vector = (name: string) => graph.input(name, 'float32', ['M'])
  const weights = vector('weights')
  const policyLoss = ppoPolicyLoss(logprobs, {
    oldLogprobs: vector('oldLogprobs'),
    advantages: vector('advantages'),
    weights,
    clipRange: config.cliprange,
    entropies: entropyFromLogits(logits),
    entropyCoef: config.entropy_coef,
  })
  const valueLoss = ppoValueLoss(values, {
    oldValues: vector('oldValues'),
    returns: vector('returns'),
    weights,
    valueClipRange: config.cliprange_value,
  })
  const program = await compileGradients(add(policyLoss.loss, scale(valueLoss.loss, config.vf_coef)), parameters, {
    pool,
    // How long answers get is not known before they are sampled.
    accumulates: true,
    outputs: {
      policyLoss: policyLoss.loss,
      valueLoss: valueLoss.loss,
      clipFraction: policyLoss.clipFraction,
      valueClipFraction: valueLoss.clipFraction,
      approxKl: policyLoss.approxKl,
      entropy: policyLoss.entropy!,
      ratio: policyLoss.ratio,
      ratioDeviation: policyLoss.ratioDeviation,
    },
  })

  function feedsOf(lessons: readonly Lesson[], tokensOfStep: number): Feeds {
    const join = (part: (lesson: Lesson) => ArrayLike<number>) => {
      const data = Float32Array.from(lessons.flatMap((lesson) => Array.from(part(lesson))))
      return { data, shape: [data.length] }
    }
    const feeds = raggedTargetFeeds(policy.config, lessons.map(completionTargets))
    return {
      ...feeds,
      oldLogprobs: join(({ oldLogprobs }) => oldLogprobs),
      oldValues: join(({ oldValues }) => oldValues),
      advantages: join(({ advantages }) => advantages),
      returns: join(({ returns }) => returns),
      weights: join(({ completionIds }) => completionIds.map(() => 1 / tokensOfStep)),
    }
  }

  return {
    async learn(
      lessons: readonly Lesson[],
      random: ReturnType<typeof createRandom>,
      state: { step: number; totals: { updates: number } },
      optimizer: ReturnType<typeof createOptimizer>,
    ) {
      const sums = {
        policyLoss: 0,
        valueLoss: 0,
        clipFraction: 0,
        valueClipFraction: 0,
        approxKl: 0,
        entropy: 0,
        ratio: 0,
        variance: 0,
        gradNorm: 0,
      }
      let count = 0
      let learningRate = 0
      for (let epoch = 0; epoch < config.num_ppo_epochs; epoch++) {
        const order = shuffled(lessons.length, random.fork(`epoch ${epoch}`))
        for (const part of splitEvenly(order, config.num_mini_batches)) {
          const batch = part.map((index) => lessons[index])
          const named = { step: state.step, rows: batch.map(({ row }) => row) }
          const step = await miniBatch(batch, state.step)
          checkFinite('loss', step.loss, named)
          const applied = optimizer.step(state.totals.updates++, program.gradients, named)
          learningRate = applied.learningRate
          const { loss: _loss, ratioDeviation, ...rest } = step
          addTo(sums, { ...rest, variance: ratioVariance(step.ratio, ratioDeviation), gradNorm: applied.gradNorm })
          count++
        }
      }
      const mean = (name: keyof typeof sums) => sums[name] / count
      return {
        'loss/policy_avg': mean('policyLoss'),
        'loss/value_avg': mean('valueLoss'),
        'policy/approxkl_avg': mean('approxKl'),
        'policy/clipfrac_avg': mean('clipFraction'),
        'policy/entropy_avg': mean('entropy'),
        'val/clipfrac_avg': mean('valueClipFraction'),
        'val/ratio': mean('ratio'),
        'val/ratio_var': mean('variance'),
        grad_norm: mean('gradNorm'),
        lr: learningRate,
      }
    },
    dispose: () => program.dispose(),
  }

  async function miniBatch(batch: readonly Lesson[], step: number) {
    const tokens = batch.reduce((total, { completionIds }) => total + completionIds.length, 0)
    const sums = {
      loss: 0,
      policyLoss: 0,
      valueLoss: 0,
      clipFraction: 0,
      valueClipFraction: 0,
      approxKl: 0,
      entropy: 0,
      ratio: 0,
      ratioDeviation: 0,
    }
    for (const [i, part] of microBatches(batch, episodeLength, config.micro_batch_tokens).entries()) {
      const feeds = { ...trainable.feeds(step), ...Object.fromEntries(parameters), ...feedsOf(part, tokens) }
      addTo(sums, scalars(await (i === 0 ? program.run(feeds) : program.accumulate(feeds))))
    }
    return sums
  }
}

function sample({ prompt, text, score, hasEos, oldLogprobs, refLogprobs }: Episode) {
  const kl = oldLogprobs.reduce((sum, logprob, t) => sum + logprob - refLogprobs[t], 0)
  return { prompt: prompt as JsonValue, completion: text, score, kl, finish_reason: hasEos ? 'stop' : 'length' }
}

function checkSameTokenizer(policy: LanguageModel, rewardModel: LanguageModel): void {
  const vocabulary = ({ tokenizer }: LanguageModel) =>
    JSON.stringify((tokenizer.tokenizerJson as { model?: { vocab?: unknown } }).model?.vocab)
  if (policy.tokenizer.vocabSize === rewardModel.tokenizer.vocabSize && vocabulary(policy) === vocabulary(rewardModel))
    return
  throw new PlumblineError(
    'TOKENIZER_MISMATCH',
    `the reward model has ${rewardModel.tokenizer.vocabSize} tokens and the policy ${policy.tokenizer.vocabSize}, or other ones.`,
    {
      hint: 'Train the reward model from the same base as the policy: plumb reward --model …',
    },
  )
}
