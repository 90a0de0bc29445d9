/**
 * Supervised fine-tuning: the model learns to say what the demonstrations say (Ouyang et al. 2022, step 1).
 *
 *   L = −Σ_t w_t log π(y_t | x, y_<t),   w_t = weight of the row / Σ of these weights over the step's target tokens
 *
 * The mean is over all target tokens of an optimizer step, so neither micro-batches nor lengths change its meaning. Rows
 * weigh 1 where they do not say.
 */
import { PlumblineError } from '@plumbline/contracts'
import {
  compile,
  compileGradients,
  createRandom,
  type Feeds,
  mul,
  type Random,
  sum,
  tokenLogprobs,
} from '@plumbline/engine'
import {
  buildRaggedForward,
  checkLanguageModel,
  type LanguageModel,
  type RaggedOptions,
  raggedTargetFeeds,
  type TargetSequence,
} from '@plumbline/models'
import type { SftConfig, SftRow } from './config.ts'
import { microBatches, type PlanOptions, planBatches, planBefore } from './parts/batches.ts'
import { checkBestIsLast, checkBestIsMeasured, loadBestWeights } from './parts/best-checkpoint.ts'
import { encodeDemonstration, openingOf, truncate } from './parts/encode.ts'
import { freezeLayers } from './parts/frozen-layers.ts'
import { sftLoss } from './parts/losses/sft.ts'
import { entropyFromLogits, tokenAccuracy } from './parts/losses/token-metrics.ts'
import { checkTrainerMemory } from './parts/memory.ts'
import { createOptimizer } from './parts/optimization.ts'
import { rowName } from './parts/row-place.ts'
import { makeTrainable, type Trainable } from './parts/trainable.ts'
import {
  addTo,
  checkFinite,
  isDue,
  notFinite,
  restoreTraining,
  type StepRows,
  saveTraining,
  scalars,
  stopIfAsked,
  type TrainerWorld,
} from './parts/training.ts'
import { numbersOfSamples, SAMPLED_ROWS, trainingSamples } from './parts/training-samples.ts'

export interface SftData {
  readonly train: readonly SftRow[]
  readonly evaluation?: readonly SftRow[]
}

export interface SftResult {
  readonly trainable: Trainable
  readonly steps: number
}

/** A row as tokens, and where it stands in the data, from 1. */
interface EncodedRow extends TargetSequence {
  readonly row: number
  readonly weight: number
}

/**
 * Trains `model` in place (or an adapter on it). Throws what encoding and the run folder throw, NOT_A_LANGUAGE_MODEL,
 * NOT_FINITE, MEMORY_SHORT and BEST_BEFORE_LAST.
 */
export async function trainSft(
  config: SftConfig,
  model: LanguageModel,
  data: SftData,
  world: TrainerWorld,
): Promise<SftResult> {
  const { run, pool, signal } = world
  const { train, evaluation, plan, sequences, trainable } = prepareSft(config, model, data, world)
  const optimizer = createOptimizer(trainable.parameters, pool, config, plan.length)
  const frozen = await freezeLayers(model, trainable.firstLayer, sequences)
  const { loss, metrics } = sftGraph(model, { ...trainable.build, firstLayer: frozen?.firstLayer })
  const parts = (batch: readonly EncodedRow[]) =>
    microBatches(batch, ({ ids }) => ids.length, config.micro_batch_tokens)
  const accumulates = plan.some((batch) => parts(batch).length > 1)
  const program = await compileGradients(loss, trainable.parameters, { pool, outputs: metrics, accumulates })
  const evaluate = evaluation && (await createEvaluator(model, trainable, evaluation, config))
  const state = await restoreTraining(run, trainable.parameters, optimizer.adamw, emptyTotals)
  world.onStep(state.step, plan.length)

  while (state.step < plan.length) {
    await frozen?.prepare(
      plan[state.step].map(({ ids }) => ids),
      signal,
    )
    await stopIfAsked(signal, state, () => saveTraining(run, trainable.parameters, optimizer.adamw, state))
    const batch = plan[state.step]
    const named = { step: state.step, rows: batch.map(({ row }) => row) }
    const step = await trainStep(parts(batch))
    checkFinite('loss', step.loss, named)
    const { gradNorm, learningRate } = optimizer.step(state.step, program.gradients, named)
    addTo(state.totals, { ...step, gradNorm, steps: 1 })
    state.step++
    state.rows += batch.length
    state.tokens += batch.reduce((count, { ids }) => count + ids.length, 0)
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
    if (isDue(state.step, config.sample_steps) || (isLast && config.sample_steps > 0))
      run.logSamples(state.step, await samples(named))
    const measured = evaluate && (isLast || isDue(state.step, config.eval_steps)) ? await evaluate.run() : undefined
    if (measured) run.logMetrics(state.step, { epoch, ...measured })
    if (isLast || isDue(state.step, config.save_steps))
      await saveTraining(run, trainable.parameters, optimizer.adamw, state, measured?.eval_loss)
    world.onStep(state.step, plan.length)
  }
  await Promise.all([program.dispose(), frozen?.dispose(), evaluate?.dispose()])
  if (config.load_best_model_at_end) await loadBestWeights(run, trainable.parameters, world.log)
  return { trainable, steps: plan.length }

  /** Of the model as it is now, the first rows to measure on; without any of those to learn from. */
  async function samples(named: StepRows) {
    const shown = (evaluation ?? train).slice(0, SAMPLED_ROWS)
    return trainingSamples(model, await trainable.merged(), shown).catch((error) => {
      if (error.code !== 'LOGITS_NOT_FINITE') throw error
      throw notFinite('the model gives scores that are not finite', named, error)
    })
  }

  /** Gradients of one optimizer step, over its micro-batches. */
  async function trainStep(micro: readonly (readonly EncodedRow[])[]) {
    const total = weightOf(micro.flat())
    const sums = { loss: 0, accuracy: 0, entropy: 0 }
    for (const [i, part] of micro.entries()) {
      const below = await frozen?.feeds(part.map(({ ids }) => ids))
      const feeds = { ...trainable.feeds(state.step), ...sftFeeds(model, part, total), ...below }
      const values = await (i === 0 ? program.run(feeds) : program.accumulate(feeds))
      addTo(sums, scalars(values))
    }
    return sums
  }
}

/**
 * The rows, the steps and what is trained: all that is known before the first step, for which nothing is computed.
 * Throws what is wrong with it, and MEMORY_SHORT.
 */
export function prepareSft(
  config: SftConfig,
  model: LanguageModel,
  data: SftData,
  world: Pick<TrainerWorld, 'log' | 'availableBytes'>,
) {
  const random = createRandom(config.seed)
  checkLanguageModel(model.parameters, '--model')
  checkBestIsMeasured(config, data.evaluation !== undefined, 'Give --eval-data.')
  checkBestIsLast(config, config.opening_epochs, '--opening-epochs', 'whole answers')
  const train = encodeRows(model, data.train, config, world)
  const evaluation = data.evaluation && encodeRows(model, data.evaluation, config, world)
  const plan = planSteps(train, config, random)
  const trainable = makeTrainable(model, config, random)
  const sequences = sequencesOf(plan)
  const longestRow = Math.max(...[...train, ...(evaluation ?? [])].map(({ ids }) => ids.length))
  const { parameters: trained, firstLayer } = trainable
  const ofSamples = config.sample_steps > 0 ? numbersOfSamples(model, trainable, longestRow) : 0
  checkTrainerMemory(config, { model, trained, firstLayer, sequences, longestRow, ofSamples }, world.availableBytes)
  return { train, evaluation, plan, sequences, trainable }
}

/** What the steps read of each row: all of it, or no more than its opening. In the order of the rows. */
function sequencesOf(plan: readonly (readonly EncodedRow[])[]): (readonly number[])[] {
  const longest = new Map<number, readonly number[]>()
  for (const { row, ids } of plan.flat()) if (ids.length > (longest.get(row)?.length ?? 0)) longest.set(row, ids)
  return [...longest].sort(([a], [b]) => a - b).map(([, ids]) => ids)
}

/** The rows of every step: whole answers, then their openings. */
function planSteps(train: readonly EncodedRow[], config: SftConfig, random: Random): EncodedRow[][] {
  const batchSize = config.per_device_train_batch_size * config.gradient_accumulation_steps
  const passes = (rows: readonly EncodedRow[], options: Omit<PlanOptions, 'batchSize'>) =>
    planBatches(
      rows.map(({ ids }) => ids.length),
      { batchSize, ...options },
    ).map((batch) => batch.map((index) => rows[index]))
  const openings = passes(
    train.map((row) => openingOf(row, config.opening_tokens)),
    { epochs: config.opening_epochs, maxSteps: -1, random: random.fork('openings') },
  )
  // Openings are short: filled up with them, one step would hold all there are.
  const packedTokens = config.packing ? batchSize * config.max_length : undefined
  return planBefore(openings, config.max_steps, (maxSteps) =>
    passes(train, { epochs: config.num_train_epochs, maxSteps, random, ...(packedTokens && { packedTokens }) }),
  )
}

const emptyTotals = () => ({ loss: 0, accuracy: 0, entropy: 0, gradNorm: 0, steps: 0 })

function averages({ loss, accuracy, entropy, gradNorm, steps }: ReturnType<typeof emptyTotals>) {
  return {
    loss: loss / steps,
    grad_norm: gradNorm / steps,
    mean_token_accuracy: accuracy / steps,
    entropy: entropy / steps,
  }
}

/** Rows as tokens, cut to length. Rows that lose all their targets are left out, and said. */
function encodeRows(
  { config, tokenizer }: LanguageModel,
  rows: readonly SftRow[],
  { max_length }: SftConfig,
  { log }: Pick<TrainerWorld, 'log'>,
): EncodedRow[] {
  const limit = Math.min(max_length, config.maxPositions)
  const encoded = rows.map((row, i) => encodeDemonstration(tokenizer, row, rowName(row, i)))
  const cut = encoded.map((sequence, i) => ({ ...truncate(sequence, limit), row: i + 1, weight: rows[i].weight ?? 1 }))
  const kept = cut.filter(({ targets }) => targets.length > 0)
  const tooLong = encoded.filter(({ ids }) => ids.length > limit).length
  if (tooLong > 0) log(`${tooLong} of ${rows.length} rows are longer than ${limit} tokens and were cut.`)
  if (kept.length < rows.length)
    log(`${rows.length - kept.length} of ${rows.length} rows have nothing to learn from and were left out.`)
  if (kept.length > 0) return kept
  throw new PlumblineError('NOTHING_TO_LEARN', 'no row has a target token within the length limit.', {
    hint: 'Raise --max-length, or check that the rows have completions.',
  })
}

function sftGraph({ config }: LanguageModel, build: RaggedOptions) {
  const { graph, logitsAtRows } = buildRaggedForward(config, build)
  const targets = graph.input('targets', 'int32', ['M'])
  const weights = graph.input('weights', 'float32', ['M'])
  const logits = logitsAtRows()
  return {
    graph,
    loss: sftLoss(tokenLogprobs(logits, targets), { weights }),
    metrics: {
      accuracy: tokenAccuracy(logits, { targets, weights }),
      entropy: sum(mul(entropyFromLogits(logits), weights)),
    },
  }
}

/** Of all target tokens together. */
const weightOf = (rows: readonly EncodedRow[]) => rows.reduce((sum, row) => sum + row.weight * row.targets.length, 0)

/** `total`: the weight of all rows of the step. */
function sftFeeds({ config }: LanguageModel, rows: readonly EncodedRow[], total: number): Feeds {
  const weights = rows.flatMap(({ targets, weight }) => targets.map(() => weight / total))
  return {
    ...raggedTargetFeeds(config, rows),
    weights: { data: Float32Array.from(weights), shape: [weights.length] },
  }
}

/** Mean loss and token accuracy over all target tokens of the evaluation rows. */
async function createEvaluator(
  model: LanguageModel,
  trainable: Trainable,
  rows: readonly EncodedRow[],
  config: SftConfig,
) {
  const { graph, loss, metrics } = sftGraph(model, trainable.evaluationBuild)
  const program = await compile(graph, { loss, ...metrics })
  const total = weightOf(rows)
  return {
    async run() {
      const sums = { loss: 0, accuracy: 0, entropy: 0 }
      for (const part of microBatches(rows, ({ ids }) => ids.length, config.micro_batch_tokens))
        addTo(sums, scalars(await program.run({ ...trainable.feeds(0), ...sftFeeds(model, part, total) })))
      return { eval_loss: sums.loss, eval_mean_token_accuracy: sums.accuracy, eval_entropy: sums.entropy }
    },
    dispose: () => program.dispose(),
  }
}
