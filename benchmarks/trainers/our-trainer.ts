/**
 * Our side of the trainers bench in a process of its own: a trainer as the commands run it, but it waits between its
 * steps. `train_…` answers after the first one, `steps` after so many more.
 */
import { join } from 'node:path'
import {
  openRunFolder,
  planBatches,
  type RunFolder,
  type TrainerWorld,
  trainPpo,
  trainReward,
  trainSft,
} from '@plumbline/align'
import {
  type PpoConfig,
  type PreferenceRow,
  type PromptRow,
  ppoConfig,
  rewardConfig,
  type SftRow,
  sftConfig,
} from '@plumbline/align/config'
import { createComputePool, createRandom } from '@plumbline/engine'
import { createDecoder, createTextStream, generate, type LanguageModel, loadLanguageModel } from '@plumbline/models'
import { peakBytes } from '../peak-memory.ts'
import { promptIds } from './rows.ts'
import { answer, createRequests, type Turn } from './turns.ts'

export interface TrainSftRequest {
  readonly folder: string
  /** The run folder. */
  readonly output: string
  readonly rows: readonly SftRow[]
  readonly config: Readonly<Record<string, unknown>>
}

export interface TrainRewardRequest extends Omit<TrainSftRequest, 'rows'> {
  readonly rows: readonly PreferenceRow[]
}

export interface TrainPpoRequest extends Omit<TrainSftRequest, 'rows'> {
  readonly rewardFolder: string
  readonly rows: readonly PromptRow[]
}

/** The first turn of PPO has the answers that it learned from. */
export interface PpoFirstTurn extends Turn {
  readonly answers: readonly (readonly number[])[]
}

const nextRequest = createRequests()

const ops = {
  async train_sft({ folder, output, rows, config: given }: TrainSftRequest) {
    const config = sftConfig.strict().parse(given)
    const model = await loadLanguageModel(folder)
    await inTurns('sft', output, config, (world) => trainSft(config, model, { train: rows }, world))
  },

  async train_reward({ folder, output, rows, config: given }: TrainRewardRequest) {
    const config = rewardConfig.strict().parse(given)
    const model = await loadLanguageModel(folder)
    // An evaluation set keeps the training pairs whole and in their order. It is read after the last step alone.
    const data = { train: rows, evaluation: rows.slice(0, 1) }
    await inTurns('reward', output, config, (world) => trainReward(config, model, data, world))
  },

  async train_ppo({ folder, rewardFolder, output, rows, config: given }: TrainPpoRequest) {
    const config = ppoConfig.strict().parse(given)
    const loaded = await loadLanguageModel(folder)
    // No token ends an answer: how much there is to compute must not depend on what was sampled.
    const models = { policy: { ...loaded, stopTokenIds: [] }, rewardModel: await loadLanguageModel(rewardFolder) }
    const answers = await firstAnswers(models.policy, rows, config)
    await inTurns('ppo', output, config, (world) => trainPpo(config, models, rows, world), { answers })
  },
}

/** Trains; stands still after each turn. `more` goes into the first answer. */
async function inTurns(
  command: string,
  output: string,
  config: Record<string, unknown>,
  train: (world: TrainerWorld) => Promise<unknown>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const pool = createComputePool()
  const availableBytes = process.availableMemory()
  const run = await openRunFolder(join(output, 'run'), { command, config, now: Date.now, version: 'bench' })
  const { watched, measured } = watch(run)
  let [left, begun, tokens] = [1, performance.now(), 0]
  const onStep = (step: number) => {
    // Before the first one a trainer says where it begins.
    if (step === 0 || --left > 0) return
    const { num_tokens: seen = 0, ...metrics } = measured()
    const seconds = (performance.now() - begun) / 1000
    answer({ seconds, tokens: seen - tokens, peak_bytes: peakBytes(), metrics, ...more } satisfies Turn)
    more = {}
    const request = nextRequest()
    if (request === undefined) process.exit()
    ;[left, begun, tokens] = [request.count as number, performance.now(), seen]
  }
  const log = (text: string) => process.stderr.write(`${text}\n`)
  const signal = new AbortController().signal
  const world = { run: watched, pool, signal, clock: () => performance.now(), availableBytes, onStep, log }
  await train(world)
}

/** The run folder, and the last metrics that were written there. */
function watch(run: RunFolder) {
  let last: Readonly<Record<string, number>> = {}
  const watched: RunFolder = {
    ...run,
    logMetrics(step, metrics) {
      last = metrics
      run.logMetrics(step, metrics)
    },
  }
  return { watched, measured: () => last }
}

/**
 * What the first rollout is going to sample, by row: the same order, seed and settings. Both sides' scores are compared,
 * which shows whether it did.
 */
async function firstAnswers(
  { config, parameters, tokenizer, stopTokenIds }: LanguageModel,
  rows: readonly PromptRow[],
  { seed, response_length: maxNewTokens, temperature }: PpoConfig,
): Promise<number[][]> {
  const prompts = rows.map(({ prompt }) => promptIds(tokenizer, prompt))
  const random = createRandom(seed)
  const lengths = prompts.map(() => 1)
  const [order] = planBatches(lengths, { batchSize: prompts.length, epochs: 1, maxSteps: 1, random })
  const length = Math.max(...prompts.map((ids) => ids.length)) + maxNewTokens
  const decoder = await createDecoder(config, parameters, { slots: prompts.length, length })
  const answers = new Array<number[]>(prompts.length)
  const completions = generate(
    decoder,
    order.map((row) => prompts[row]),
    {
      maxNewTokens,
      temperature,
      topP: 1,
      topK: 0,
      repetitionPenalty: 1,
      numGenerations: 1,
      seed: random.fork('rollout 0').uint32(),
      stop: [],
      stopTokenIds,
      createTextStream: () => createTextStream(tokenizer),
    },
  )
  for await (const { promptIndex, tokenIds } of completions) answers[order[promptIndex]] = [...tokenIds]
  await decoder.dispose()
  return answers
}

const { op, ...request } = nextRequest() ?? {}
try {
  await ops[op as keyof typeof ops](request as never)
} catch (error) {
  answer({ error: String(error) })
}
