/**
 * A reward model: a language model whose head gives one score to a whole answer, read at its last real token. It learns
 * from pairs which answer people prefer (Bradley & Terry 1952; Ouyang et al. 2022, equation 1):
 *
 *   L = −log σ(r(x, y_chosen) − r(x, y_rejected) − margin) + c · (r_chosen + r_rejected)²
 *
 * or from answers that have scores already:
 *
 *   L = (r(x, y) − score)²
 */
import { dirname, join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import {
  compile,
  compileGradients,
  createParameter,
  createRandom,
  embedding,
  type Feeds,
  matmul,
  type Parameter,
  type ParameterMap,
  type Random,
  reshape,
  type Tensor,
  type Value,
} from '@plumbline/engine'
import {
  buildRaggedForward,
  checkRewardModel,
  type LanguageModel,
  type RaggedOptions,
  raggedFeeds,
  SCORE_HEAD,
  shareTokens,
} from '@plumbline/models'
import type { PreferenceRow, RewardConfig, RewardRow, ScoredRow } from './config.ts'
import { microBatches, type PlanOptions, planBatches, planBefore, shuffled } from './parts/batches.ts'
import { checkBestIsLast, checkBestIsMeasured, loadBestWeights } from './parts/best-checkpoint.ts'
import { freezeLayers } from './parts/frozen-layers.ts'
import { rewardLoss, rewardScoreLoss } from './parts/losses/reward.ts'
import { weightedSum } from './parts/losses/weighted.ts'
import { checkTrainerMemory } from './parts/memory.ts'
import { createOptimizer } from './parts/optimization.ts'
import { evaluatePairs, evaluateScores, evaluationMetrics, type RewardEvaluation } from './parts/reward-evaluation.ts'
import { replaceDurably } from './parts/run-files.ts'
import type { SampleRow } from './parts/run-logs.ts'
import { makeTrainable, type Trainable } from './parts/trainable.ts'
import {
  addTo,
  checkFinite,
  isDue,
  restoreTraining,
  saveTraining,
  scalars,
  stopIfAsked,
  type TrainerWorld,
} from './parts/training.ts'
import { SAMPLED_ROWS } from './parts/training-samples.ts'
import { writeTrainedModel } from './parts/write-trained-model.ts'
import {
  checkSameKind,
  describeSplit,
  type EncodedAnswers,
  encodeRewardRows,
  holdOutPrompts,
  type RewardKind,
  type RewardSplit,
  rewardKind,
  rowsNoun,
  tokensOf,
} from './reward-rows.ts'

export interface RewardData {
  readonly train: readonly RewardRow[]
  readonly evaluation?: readonly RewardRow[]
}

export interface RewardResult {
  readonly trainable: Trainable
  /** The trunk and `score.weight`; no head over the vocabulary. */
  readonly parameters: ParameterMap
  /** Of the scores of training answers: what PPO normalises with. */
  readonly mean: number
  readonly std: number
  /** Of the finished model on the held-out rows, where there are any. */
  readonly evaluation?: RewardEvaluation
  readonly steps: number
}

/**
 * Trains the trunk of `model` in place (or an adapter on it), with a new score head or the one that it has.
 * Throws DATA_MIXED, NOT_A_REWARD_MODEL, NOT_FINITE, MEMORY_SHORT and BEST_BEFORE_LAST.
 */
export async function trainReward(
  config: RewardConfig,
  model: LanguageModel,
  data: RewardData,
  world: TrainerWorld,
): Promise<RewardResult> {
  const { run, pool, signal } = world
  const prepared = prepareReward(config, model, data, world)
  const { kind, train, evaluation, plan, seen, sequences, trainable, head, parameters, random } = prepared
  const optimizer = createOptimizer(parameters, pool, config, plan.length)
  const frozen = await freezeLayers(model, trainable.firstLayer, sequences)
  const above = { firstLayer: frozen?.firstLayer }
  const { loss, metrics, rewards } = rewardGraph(kind, model, { ...trainable.build, ...above }, config)
  const parts = (batch: readonly number[]) =>
    microBatches(
      batch.map((index) => train[index]),
      tokensOf,
      config.micro_batch_tokens,
    )
  const accumulates = plan.some((batch) => parts(batch).length > 1)
  const program = await compileGradients(loss, parameters, {
    pool,
    outputs: { ...metrics, ...rewards } as Readonly<Record<string, Tensor>>,
    accumulates,
  })
  const below = async (rows: readonly EncodedAnswers[]) => frozen?.feeds(answersSideBySide(kind, rows))
  const weights = (step: number) => ({ ...trainable.feeds(step), [head.name]: head })
  const build = { ...trainable.evaluationBuild, ...above }
  const scorer = await createRaggedScorer(kind, model, build, config, async (rows) => ({
    ...weights(0),
    ...(await below(rows)),
  }))
  const evaluate = async () => {
    const rewards = await scorer.rewards(evaluation)
    return evaluationOf(kind, rewards, evaluation, config)
  }
  const state = await restoreTraining(run, parameters, optimizer.adamw, emptyTotals)
  // A checkpoint of an earlier version lacks what was not logged then.
  state.totals = { ...emptyTotals(), ...state.totals }

  world.onStep(state.step, plan.length)
  let measured: RewardEvaluation | undefined
  while (state.step < plan.length) {
    const batch = plan[state.step].map((index) => train[index])
    await frozen?.prepare(answersSideBySide(kind, batch), signal)
    await stopIfAsked(signal, state, () => saveTraining(run, parameters, optimizer.adamw, state))
    const sums = noMetrics()
    const rewarded: number[] = []
    for (const [i, part] of parts(plan[state.step]).entries()) {
      const answers = answerFeeds(kind, model, part, batch.length)
      const feeds = { ...weights(state.step), ...answers, ...(await below(part)) }
      const values: Readonly<Record<string, Value>> = await (i === 0 ? program.run(feeds) : program.accumulate(feeds))
      addTo(sums, { ...noMetrics(), ...scalars(values) })
      for (const side of sidesOf[kind]) rewarded.push(...(values[side].data as Float32Array))
    }
    const named = { step: state.step, rows: batch.map(({ row }) => row) }
    checkFinite('loss', sums.loss, named)
    const { gradNorm, learningRate } = optimizer.step(state.step, program.gradients, named)
    const [minReward, maxReward] = [Math.min(...rewarded), Math.max(...rewarded)]
    addTo(state.totals, { ...sums, minReward, maxReward, gradNorm, steps: 1 })
    state.step++
    state.rows += batch.length
    state.tokens += batch.reduce((count, row) => count + tokensOf(row), 0)
    const isLast = state.step === plan.length
    const epoch = state.rows / train.length
    if (isLast || isDue(state.step, config.logging_steps)) {
      run.logMetrics(state.step, {
        epoch,
        ...averages(kind, state.totals),
        learning_rate: learningRate,
        num_tokens: state.tokens,
      })
      state.totals = emptyTotals()
    }
    measured = evaluation.length > 0 && (isLast || isDue(state.step, config.eval_steps)) ? await evaluate() : undefined
    const held = measured && evaluationMetrics(measured)
    if (held) run.logMetrics(state.step, { epoch, ...held })
    if (measured) run.logSamples(state.step, sampleRows(measured, evaluation, data.evaluation ?? data.train))
    if (isLast || isDue(state.step, config.save_steps))
      await saveTraining(run, parameters, optimizer.adamw, state, held?.eval_loss)
    world.onStep(state.step, plan.length)
  }
  await program.dispose()
  if (config.load_best_model_at_end && (await loadBestWeights(run, parameters, world.log))) measured = undefined
  const final = evaluation.length > 0 ? (measured ?? (await evaluate())) : undefined
  const scale = await scaleOf(scorer, seen, random)
  await Promise.all([scorer.dispose(), frozen?.dispose()])
  const finished = withScoreHead(await trainable.merged(), head)
  return { trainable, parameters: finished, steps: plan.length, ...scale, ...(final && { evaluation: final }) }
}

/**
 * The rows, the steps and what is trained: all that is known before the first step, for which nothing is computed.
 * Throws what is wrong with it, and MEMORY_SHORT.
 */
export function prepareReward(
  config: RewardConfig,
  model: LanguageModel,
  data: RewardData,
  world: Pick<TrainerWorld, 'log' | 'availableBytes'>,
) {
  const random = createRandom(config.seed)
  const kind = rewardKind(data.train)
  const { train, evaluation } = encodeAndSplit(model, data, config, kind, random, world)
  checkBestIsMeasured(config, evaluation.length > 0, 'Give --eval-data, or raise --eval-fraction.')
  checkBestIsLast(config, config.contrast_epochs, '--contrast-epochs', 'all held-out pairs')
  const trainable = makeTrainable(model, config, random)
  const plan = planSteps(train, config, random)
  const seen = seenRows(train, plan)
  const sequences = [...seen, ...evaluation].flatMap(({ answers }) => answers)
  const head = scoreHead(model, random)
  const parameters = withScoreHead(trainable.parameters, head)
  const longestRow = [...train, ...evaluation].reduce((longest, row) => Math.max(longest, longestAnswer(row)), 0)
  const { firstLayer } = trainable
  checkTrainerMemory(config, { model, trained: parameters, firstLayer, sequences, longestRow }, world.availableBytes)
  return { kind, train, evaluation, plan, seen, sequences, trainable, head, parameters, random }
}

/** Part of a pass may leave rows out: nothing is computed of them, unless the scale of the rewards needs them. */
function seenRows(train: readonly EncodedAnswers[], plan: readonly (readonly number[])[]): readonly EncodedAnswers[] {
  const indices = [...new Set(plan.flat())].sort((a, b) => a - b)
  return indices.length < SCALE_ROWS ? train : indices.map((index) => train[index])
}

/** The rows of every step, by index: all of them, then the contrasts. */
function planSteps(train: readonly EncodedAnswers[], config: RewardConfig, random: Random): number[][] {
  const batchSize = config.per_device_train_batch_size * config.gradient_accumulation_steps
  const passes = (indices: readonly number[], options: Omit<PlanOptions, 'batchSize'>) =>
    planBatches(
      indices.map((index) => tokensOf(train[index])),
      { batchSize, ...options },
    ).map((batch) => batch.map((i) => indices[i]))
  const all = train.map((_, index) => index)
  const contrasts = passes(
    all.filter((index) => train[index].isContrast),
    { epochs: config.contrast_epochs, maxSteps: -1, random: random.fork('contrasts') },
  )
  return planBefore(contrasts, config.max_steps, (maxSteps) =>
    passes(all, { epochs: config.num_train_epochs, maxSteps, random }),
  )
}

const longestAnswer = ({ answers }: EncodedAnswers) => Math.max(...answers.map(({ length }) => length))

/** Scores have no accuracy and no margin: theirs stay 0 and are not logged. */
const noMetrics = () => ({ loss: 0, accuracy: 0, margin: 0, meanReward: 0 })
/** The least and the highest reward of a step, of all its answers; their means over the steps are logged, as TRL does. */
const emptyTotals = () => ({ ...noMetrics(), minReward: 0, maxReward: 0, gradNorm: 0, steps: 0 })

function averages(kind: RewardKind, totals: ReturnType<typeof emptyTotals>) {
  const { steps } = totals
  const [loss, meanReward] = [totals.loss / steps, totals.meanReward / steps]
  return {
    loss,
    ...(kind === 'pairs' ? { accuracy: totals.accuracy / steps, margin: totals.margin / steps } : { mse: loss }),
    min_reward: totals.minReward / steps,
    mean_reward: meanReward,
    max_reward: totals.maxReward / steps,
    grad_norm: totals.gradNorm / steps,
  }
}

/** Rows to learn from and rows to measure on: those given, else a fraction of the prompts. Counts are said. */
function encodeAndSplit(
  model: LanguageModel,
  data: RewardData,
  config: RewardConfig,
  kind: RewardKind,
  random: Random,
  { log }: Pick<TrainerWorld, 'log'>,
): RewardSplit {
  if (data.evaluation) checkSameKind(kind, rewardKind(data.evaluation, 'the evaluation data'))
  if (kind === 'scores' && config.center_rewards_coefficient > 0)
    throw new PlumblineError('CENTERING_NEEDS_PAIRS', '--center-rewards-coefficient: scores say where rewards lie.', {
      hint: 'Leave it out, or subtract the mean from the scores.',
    })
  const rows = encodeRewardRows(model, data.train, config, log)
  const split = data.evaluation
    ? { train: rows, evaluation: encodeRewardRows(model, data.evaluation, config, log) }
    : holdOutPrompts(rows, config.eval_fraction, random.fork('held out'))
  log(describeSplit(split, rowsNoun[kind]))
  if (config.contrast_epochs > 0 && !split.train.some(({ isContrast }) => isContrast))
    log('No pair to learn from says "contrast": true, so there are no passes over contrasts.')
  return split
}

/** The model's own score head, or a new one with deviation 1/√(hiddenSize + 1) (Stiennon et al. 2020). */
function scoreHead({ config, parameters }: LanguageModel, random: Random): Parameter {
  const known = parameters.get(SCORE_HEAD)
  if (known) {
    checkRewardModel(config, parameters, '--model')
    return known
  }
  const head = createParameter(SCORE_HEAD, [1, config.hiddenSize])
  const stream = random.fork('score head')
  for (let i = 0; i < head.data.length; i++) head.data[i] = stream.normal() / Math.sqrt(config.hiddenSize + 1)
  return head
}

/** Without the head over the vocabulary, which a reward model does not have. */
function withScoreHead(parameters: ParameterMap, head: Parameter): ParameterMap {
  return new Map([...parameters].filter(([name]) => name !== 'lm_head.weight')).set(head.name, head)
}

/** The rewards of each side of the rows, [rows] each, read at the last token of its answers. */
function buildRewards(kind: RewardKind, { config }: LanguageModel, build: RaggedOptions) {
  const { graph, hiddenAtRows, model } = buildRaggedForward(config, build)
  const head = model.parameter(SCORE_HEAD, [1, config.hiddenSize])
  const all = matmul(hiddenAtRows(), head, { transposeB: true }) // [M, 1]
  const read = (name: string) => reshape(embedding(all, graph.input(name, 'int32', ['rows'])), { shape: ['rows'] })
  return { graph, rewards: sidesOf[kind].map(read) }
}

/** Inputs that say which of the rewards are those of each side of a row. */
const sidesOf = { pairs: ['chosen', 'rejected'], scores: ['answers'] } as const

function rewardGraph(
  kind: RewardKind,
  model: LanguageModel,
  build: RaggedOptions,
  { center_rewards_coefficient }: RewardConfig,
) {
  const { graph, rewards } = buildRewards(kind, model, build)
  const bySide: Readonly<Record<string, Tensor>> = Object.fromEntries(
    sidesOf[kind].map((name, i) => [name, rewards[i]]),
  )
  const weights = graph.input('weights', 'float32', ['rows'])
  const targets = graph.input('targets', 'float32', ['rows'])
  if (kind === 'scores') {
    const meanReward = weightedSum(rewards[0], weights)
    const loss = rewardScoreLoss(rewards[0], { scores: targets, weights })
    return { loss, metrics: { meanReward }, rewards: bySide }
  }
  const { loss, ...metrics } = rewardLoss(rewards[0], rewards[1], {
    weights,
    margins: targets,
    centerRewardsCoefficient: center_rewards_coefficient,
  })
  return { loss, metrics, rewards: bySide }
}

function answerFeeds(
  kind: RewardKind,
  model: LanguageModel,
  rows: readonly EncodedAnswers[],
  rowsOfStep: number,
): Feeds {
  const shape = [rows.length]
  return {
    ...scoringFeeds(kind, model, rows),
    targets: { data: Float32Array.from(rows, ({ target }) => target), shape },
    weights: { data: new Float32Array(rows.length).fill(1 / rowsOfStep), shape },
  }
}

/** All first answers, then all second ones. */
const answersSideBySide = (kind: RewardKind, rows: readonly EncodedAnswers[]) =>
  sidesOf[kind].flatMap((_, side) => rows.map(({ answers }) => answers[side]))

function scoringFeeds(kind: RewardKind, { config }: LanguageModel, rows: readonly EncodedAnswers[]): Feeds {
  const sequences = answersSideBySide(kind, rows)
  const shared = shareTokens(sequences)
  const lastTokens = Int32Array.from(shared.places, (tokens) => tokens[tokens.length - 1])
  const sides = sidesOf[kind].map((name, side) => {
    const data = Int32Array.from(rows, (_, i) => side * rows.length + i)
    return [name, { data, shape: [rows.length] }] as const
  })
  return {
    ...raggedFeeds(config, sequences, shared),
    rows: { data: lastTokens, shape: [sequences.length] },
    ...Object.fromEntries(sides),
  }
}

/** Gives the rewards of rows by the weights as they are then: one list for each side. */
async function createRaggedScorer(
  kind: RewardKind,
  model: LanguageModel,
  build: RaggedOptions,
  config: RewardConfig,
  weights: (rows: readonly EncodedAnswers[]) => Promise<Feeds>,
) {
  const { graph, rewards } = buildRewards(kind, model, build)
  const program = await compile(graph, Object.fromEntries(rewards.map((reward, side) => [side, reward])))
  return {
    async rewards(rows: readonly EncodedAnswers[]): Promise<number[][]> {
      const found = rewards.map(() => new Array<number>(rows.length))
      const indices = rows.map((_, i) => i)
      for (const part of microBatches(indices, (i) => tokensOf(rows[i]), config.micro_batch_tokens)) {
        const batch = part.map((i) => rows[i])
        const values = await program.run({ ...(await weights(batch)), ...scoringFeeds(kind, model, batch) })
        found.forEach((side, which) => {
          part.forEach((index, i) => {
            side[index] = Number(values[which].data[i])
          })
        })
      }
      return found
    },
    dispose: () => program.dispose(),
  }
}

function evaluationOf(
  kind: RewardKind,
  rewards: readonly (readonly number[])[],
  rows: readonly EncodedAnswers[],
  { center_rewards_coefficient }: RewardConfig,
): RewardEvaluation {
  const targets = rows.map(({ target }) => target)
  if (kind === 'scores') return evaluateScores(rewards[0], targets)
  const [chosen, rejected] = rewards
  return evaluatePairs(chosen, rejected, {
    margins: targets,
    centerRewardsCoefficient: center_rewards_coefficient,
  })
}

/** What samples.jsonl shows of an evaluation: the first held-out answers with their rewards. */
function sampleRows(
  evaluation: RewardEvaluation,
  rows: readonly EncodedAnswers[],
  sources: readonly RewardRow[],
): SampleRow[] {
  const shown = rows.slice(0, SAMPLED_ROWS).flatMap(({ row }, i): readonly object[] => {
    if (evaluation.kind === 'scores') {
      const { prompt, completion, score: target } = sources[row - 1] as ScoredRow
      return [{ prompt, completion, score: evaluation.rewards[i], target }]
    }
    const { prompt, chosen, rejected } = sources[row - 1] as PreferenceRow
    return [
      { prompt, completion: chosen, score: evaluation.chosen[i], side: 'chosen' },
      { prompt, completion: rejected, score: evaluation.rejected[i], side: 'rejected' },
    ]
  })
  return shown as SampleRow[]
}

/** Rows, of those that were trained on, for the mean and deviation of the rewards: 256 answers of pairs give it to 4 %. */
const SCALE_ROWS = 128

async function scaleOf(
  scorer: { rewards(rows: readonly EncodedAnswers[]): Promise<number[][]> },
  seen: readonly EncodedAnswers[],
  random: Random,
) {
  const sample = shuffled(seen.length, random.fork('scale')).slice(0, SCALE_ROWS)
  const all = (await scorer.rewards(sample.map((i) => seen[i]))).flat()
  const mean = all.reduce((sum, reward) => sum + reward, 0) / all.length
  const variance = all.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / all.length
  return { mean, std: Math.sqrt(variance) || 1 }
}

/** Where what a reward model is worth stands: beside its folder. */
export const REWARD_EVALUATION = 'evaluation.json'

/** Writes the model, and its evaluation beside it. */
export async function writeRewardModel(folder: string, model: LanguageModel, result: RewardResult): Promise<void> {
  const evaluation = join(dirname(folder), REWARD_EVALUATION)
  await replaceDurably(evaluation, `${JSON.stringify(result.evaluation ?? null, null, 2)}\n`)
  await writeTrainedModel(folder, model, result.parameters, rewardModelConfig(model.rawConfig, result))
}

/** config.json of a reward model: a sequence classification with one label; mean and std as OpenRLHF stores them. */
export function rewardModelConfig(
  rawConfig: Record<string, unknown>,
  { mean, std }: Pick<RewardResult, 'mean' | 'std'>,
): Record<string, unknown> {
  const architectures = (rawConfig.architectures as string[] | undefined) ?? []
  const classifier = architectures.map(
    (name) => `${name.replace(/For(CausalLM|SequenceClassification)$|LMHeadModel$/, '')}ForSequenceClassification`,
  )
  return {
    ...rawConfig,
    architectures: classifier,
    num_labels: 1,
    id2label: { 0: 'reward' },
    label2id: { reward: 0 },
    // transformers finds the last token of a padded row by it.
    pad_token_id: rawConfig.pad_token_id ?? rawConfig.eos_token_id ?? 0,
    mean,
    std,
  }
}
