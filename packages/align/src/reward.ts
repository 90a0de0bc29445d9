/**
 * A reward model: a language model whose head gives one score to a whole answer, read at its last real token. It learns
 * from pairs which answer people prefer (Bradley & Terry 1952; Ouyang et al. 2022, equation 1):
 *
 *   L = −log σ(r(x, y_chosen) − r(x, y_rejected) − margin) + c · (r_chosen + r_rejected)²
 */
import { PlumblineError } from '@plumbline/contracts'
import {
  compile,
  compileGradients,
  createParameter,
  createRandom,
  type Feeds,
  matmul,
  type ParameterMap,
  type Random,
  reshape,
} from '@plumbline/engine'
import {
  type BuildOptions,
  buildRaggedForward,
  createRewardScorer,
  type LanguageModel,
  raggedFeeds,
  rowsOf,
  SCORE_HEAD,
  scoredIds,
  shareTokens,
} from '@plumbline/models'
import type { PreferenceRow, RewardConfig } from './config.ts'
import { microBatches, planBatches, shuffled } from './parts/batches.ts'
import { encodePair } from './parts/encode.ts'
import { rewardLoss } from './parts/losses/reward.ts'
import { checkMemory, numbersIn } from './parts/memory.ts'
import { createOptimizer } from './parts/optimization.ts'
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

export interface RewardData {
  readonly train: readonly PreferenceRow[]
  readonly evaluation?: readonly PreferenceRow[]
}

export interface RewardEvaluation {
  /** Rewards of the held-out pairs. */
  readonly chosen: readonly number[]
  readonly rejected: readonly number[]
}

export interface RewardResult {
  /** The trunk and `score.weight`; no head over the vocabulary. */
  readonly parameters: ParameterMap
  /** Of the scores of all training answers: what PPO normalises with. */
  readonly mean: number
  readonly std: number
  readonly evaluation?: RewardEvaluation
  readonly steps: number
}

interface EncodedPair {
  readonly chosen: readonly number[]
  readonly rejected: readonly number[]
  readonly margin: number
  /** Where the pair stands in the data, from 1. */
  readonly row: number
}

/** Trains the trunk of `model` in place, with a new score head. Throws NOT_FINITE and MEMORY_SHORT. */
export async function trainReward(
  config: RewardConfig,
  model: LanguageModel,
  data: RewardData,
  world: TrainerWorld,
): Promise<RewardResult> {
  const { run, pool, signal } = world
  const random = createRandom(config.seed)
  const pairs = encodePairs(model, data.train, config, world)
  const { train, evaluation } = split(
    pairs,
    data.evaluation && encodePairs(model, data.evaluation, config, world),
    config,
    random,
  )
  const parameters = withScoreHead(model, random)
  checkMemory(
    {
      config: model.config,
      parameters: numbersIn(parameters),
      trainable: numbersIn(parameters),
      microBatchTokens: config.micro_batch_tokens,
      longestRow: Math.max(
        ...[...train, ...evaluation].map(({ chosen, rejected }) => Math.max(chosen.length, rejected.length)),
      ),
    },
    { availableBytes: world.availableBytes, flags: ['--micro-batch-tokens', '--max-length'] },
  )
  const plan = planBatches(train.map(sizeOf), {
    batchSize: config.per_device_train_batch_size * config.gradient_accumulation_steps,
    epochs: config.num_train_epochs,
    maxSteps: config.max_steps,
    random,
  })
  const optimizer = createOptimizer(parameters, pool, config, plan.length)
  const { loss, metrics } = rewardGraph(model, {}, config)
  const parts = (batch: readonly number[]) =>
    microBatches(
      batch.map((index) => train[index]),
      sizeOf,
      config.micro_batch_tokens,
    )
  const accumulates = plan.some((batch) => parts(batch).length > 1)
  const program = await compileGradients(loss, parameters, { pool, outputs: metrics, accumulates })
  const weights = Object.fromEntries(parameters)
  const evaluate = evaluation.length > 0 ? await createEvaluator(model, evaluation, config, weights) : undefined
  const state = await restoreTraining(run, parameters, optimizer.adamw, emptyTotals)

  while (state.step < plan.length) {
    await stopIfAsked(signal, state, () => saveTraining(run, parameters, optimizer.adamw, state))
    const batch = plan[state.step].map((index) => train[index])
    const sums = { loss: 0, accuracy: 0, margin: 0, meanReward: 0 }
    for (const [i, part] of parts(plan[state.step]).entries()) {
      const feeds = { ...weights, ...pairFeeds(model, part, batch.length) }
      addTo(sums, scalars(await (i === 0 ? program.run(feeds) : program.accumulate(feeds))))
    }
    const named = { step: state.step, rows: batch.map(({ row }) => row) }
    checkFinite('loss', sums.loss, named)
    const { gradNorm, learningRate } = optimizer.step(state.step, program.gradients, named)
    addTo(state.totals, { ...sums, gradNorm, steps: 1 })
    state.step++
    state.rows += batch.length
    state.tokens += batch.reduce((count, pair) => count + sizeOf(pair), 0)
    const isLast = state.step === plan.length
    const epoch = state.rows / train.length
    if (isLast || isDue(state.step, config.logging_steps)) {
      run.logMetrics(state.step, {
        epoch,
        ...averages(state.totals),
        learning_rate: learningRate,
        num_tokens: state.tokens,
      })
      state.totals = emptyTotals()
    }
    const measured = evaluate && (isLast || isDue(state.step, config.eval_steps)) ? await evaluate.run() : undefined
    if (measured) run.logMetrics(state.step, { epoch, ...measured })
    if (isLast || isDue(state.step, config.save_steps))
      await saveTraining(run, parameters, optimizer.adamw, state, measured?.eval_loss)
    world.onStep(state.step, plan.length)
  }
  await Promise.all([program.dispose(), evaluate?.dispose()])
  return { parameters, steps: plan.length, ...(await scoresOf(model, parameters, train, evaluation)) }
}

/** Tokens of both sides. */
const sizeOf = ({ chosen, rejected }: EncodedPair) => chosen.length + rejected.length

const emptyTotals = () => ({ loss: 0, accuracy: 0, margin: 0, meanReward: 0, gradNorm: 0, steps: 0 })

function averages({ loss, accuracy, margin, meanReward, gradNorm, steps }: ReturnType<typeof emptyTotals>) {
  return {
    loss: loss / steps,
    accuracy: accuracy / steps,
    margin: margin / steps,
    mean_reward: meanReward / steps,
    grad_norm: gradNorm / steps,
  }
}

/** Pairs as tokens. Equal sides teach nothing and long ones are left out, as TRL does; both are said. */
function encodePairs(
  model: LanguageModel,
  rows: readonly PreferenceRow[],
  { max_length }: RewardConfig,
  { log }: TrainerWorld,
): EncodedPair[] {
  const limit = Math.min(max_length, model.config.maxPositions)
  const encoded = rows.map(({ prompt, chosen, rejected, margin = 0 }, i) => {
    const side = (answer: PreferenceRow['chosen']) => {
      return scoredIds(encodePair(model.tokenizer, prompt, answer, i + 1), model)
    }
    return { chosen: side(chosen), rejected: side(rejected), margin, row: i + 1 }
  })
  const differing = encoded.filter(({ chosen, rejected }) => chosen.join() !== rejected.join())
  const kept = differing.filter(({ chosen, rejected }) => Math.max(chosen.length, rejected.length) <= limit)
  if (differing.length < rows.length)
    log(`${rows.length - differing.length} of ${rows.length} pairs have equal sides and were left out.`)
  if (kept.length < differing.length)
    log(`${differing.length - kept.length} of ${rows.length} pairs are longer than ${limit} tokens and were left out.`)
  if (kept.length > 0) return kept
  throw new PlumblineError('NOTHING_TO_LEARN', 'no pair is left to learn from.', {
    hint: 'Chosen and rejected must differ and fit in --max-length.',
  })
}

/** Training and held-out pairs; without evaluation rows a fraction is held out, but never the last pair. */
function split(
  pairs: EncodedPair[],
  given: EncodedPair[] | undefined,
  { eval_fraction }: RewardConfig,
  random: Random,
) {
  if (given) return { train: pairs, evaluation: given }
  const count = Math.min(pairs.length - 1, Math.round(pairs.length * eval_fraction))
  const order = shuffled(pairs.length, random.fork('held out')).map((index) => pairs[index])
  return { train: order.slice(count), evaluation: order.slice(0, count) }
}

/** The trunk's own arrays and a head with deviation 1/√(hiddenSize + 1) (Stiennon et al. 2020). */
function withScoreHead({ config, parameters }: LanguageModel, random: Random): ParameterMap {
  const trunk = new Map([...parameters].filter(([name]) => name !== 'lm_head.weight'))
  if (trunk.has(SCORE_HEAD)) return trunk
  const head = createParameter(SCORE_HEAD, [1, config.hiddenSize])
  const stream = random.fork('score head')
  for (let i = 0; i < head.data.length; i++) head.data[i] = stream.normal() / Math.sqrt(config.hiddenSize + 1)
  return trunk.set(SCORE_HEAD, head)
}

function rewardGraph({ config }: LanguageModel, build: BuildOptions, { center_rewards_coefficient }: RewardConfig) {
  const { graph, hidden, model } = buildRaggedForward(config, build)
  const head = model.parameter(SCORE_HEAD, [1, config.hiddenSize])
  const read = (name: string) =>
    reshape(matmul(rowsOf(hidden, graph.input(name, 'int32', ['pairs'])), head, { transposeB: true }), {
      shape: ['pairs'],
    })
  const { loss, ...metrics } = rewardLoss(read('chosenRows'), read('rejectedRows'), {
    weights: graph.input('weights', 'float32', ['pairs']),
    margins: graph.input('margins', 'float32', ['pairs']),
    centerRewardsCoefficient: center_rewards_coefficient,
  })
  return { graph, loss, metrics }
}

function pairFeeds({ config }: LanguageModel, pairs: readonly EncodedPair[], pairsOfStep: number): Feeds {
  const sequences = [...pairs.map((pair) => pair.chosen), ...pairs.map((pair) => pair.rejected)]
  const shared = shareTokens(sequences)
  const lastRows = Int32Array.from(shared.places, (tokens) => tokens[tokens.length - 1])
  const shape = [pairs.length]
  return {
    ...raggedFeeds(config, sequences, shared),
    chosenRows: { data: lastRows.subarray(0, pairs.length), shape },
    rejectedRows: { data: lastRows.subarray(pairs.length), shape },
    margins: { data: Float32Array.from(pairs, ({ margin }) => margin), shape },
    weights: { data: new Float32Array(pairs.length).fill(1 / pairsOfStep), shape },
  }
}

async function createEvaluator(
  model: LanguageModel,
  pairs: readonly EncodedPair[],
  config: RewardConfig,
  weights: Feeds,
) {
  const { graph, loss, metrics } = rewardGraph(model, {}, config)
  const program = await compile(graph, { loss, ...metrics })
  return {
    async run() {
      const sums = { loss: 0, accuracy: 0, margin: 0, meanReward: 0 }
      for (const part of microBatches(pairs, sizeOf, config.micro_batch_tokens))
        addTo(sums, scalars(await program.run({ ...weights, ...pairFeeds(model, part, pairs.length) })))
      return {
        eval_loss: sums.loss,
        eval_accuracy: sums.accuracy,
        eval_margin: sums.margin,
        eval_mean_reward: sums.meanReward,
      }
    },
    dispose: () => program.dispose(),
  }
}

/** What the finished model says of all pairs. */
async function scoresOf(
  { config }: LanguageModel,
  parameters: ParameterMap,
  train: readonly EncodedPair[],
  evaluation: readonly EncodedPair[],
) {
  const scorer = await createRewardScorer(config, parameters)
  const rewardsOf = async (pairs: readonly EncodedPair[]) => ({
    chosen: await scorer.rewards(pairs.map(({ chosen }) => chosen)),
    rejected: await scorer.rewards(pairs.map(({ rejected }) => rejected)),
  })
  const trained = await rewardsOf(train)
  const held = evaluation.length > 0 ? await rewardsOf(evaluation) : undefined
  await scorer.dispose()
  const all = [...trained.chosen, ...trained.rejected]
  const mean = all.reduce((sum, reward) => sum + reward, 0) / all.length
  const variance = all.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / all.length
  return { mean, std: Math.sqrt(variance) || 1, ...(held && { evaluation: held }) }
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
