/** Fine-tuning and reward models against TRL: the same rows in the same steps, AdamW included. */
import type { Section } from '../bench.ts'
import { checkEqual } from '../check-equal.ts'
import type { Figure } from '../figure.ts'
import { interleave } from '../interleave.ts'
import { type FasterPrecision, fasterPrecision } from './faster-precision.ts'
import {
  type ChatPair,
  demonstrationColumns,
  inTrainingOrder,
  pairColumns,
  preferencesFile,
  readPreferences,
  select,
} from './rows.ts'
import type { Turn } from './turns.ts'
import type { SteppedTrainer, TrainersWorld, TrlTrainer } from './world.ts'

const BATCH = 4
const MAX_LENGTH = 256
const SEED = 42
/** Steps of one turn of a side, and of TRL's in each precision before. */
const STEPS = 4
const WARM_STEPS = 2
/** So many steps have rows of their own; more would be a second epoch, in which the orders part. */
const MAX_STEPS = 64
/** Of the loss itself, in the first step and in fp32. */
const LOSS_TOLERANCE = 1e-3

const config = {
  per_device_train_batch_size: BATCH,
  max_length: MAX_LENGTH,
  learning_rate: 1e-5,
  lr_scheduler_type: 'constant',
  seed: SEED,
  max_steps: MAX_STEPS,
  logging_steps: 1,
  save_steps: 0,
}

interface Trainer {
  readonly figure: Figure
  /** Of both sides. */
  readonly op: string
  folder(world: TrainersWorld): Promise<string>
  /** What our trainer and TRL's are handed. */
  rows(world: TrainersWorld, pairs: readonly ChatPair[]): Promise<{ rows: unknown[]; columns: unknown[] }>
  /** In the figure's unit. */
  work(turn: Turn): number
}

const sft: Trainer = {
  figure: {
    name: 'sft',
    title: `fine-tuning, batch ${BATCH}, at most ${MAX_LENGTH} tokens`,
    unit: 'tokens/s',
    better: 'higher',
    goal: { ratio: 1 },
  },
  op: 'train_sft',
  folder: (world) => world.folder(),
  async rows(world, pairs) {
    const { tokenizer } = await world.model()
    const { rows, columns } = select(pairs, BATCH * MAX_STEPS, (pair) =>
      demonstrationColumns(tokenizer, pair, MAX_LENGTH),
    )
    return { rows: rows.map(({ prompt, chosen }) => ({ prompt, completion: chosen })), columns }
  },
  work: ({ tokens }) => tokens,
}

const reward: Trainer = {
  figure: {
    name: 'reward',
    title: `reward model, batch ${BATCH} pairs, at most ${MAX_LENGTH} tokens`,
    unit: 'pairs/s',
    better: 'higher',
    goal: { ratio: 1 },
  },
  op: 'train_reward',
  folder: (world) => world.rewardFolder(),
  async rows(world, pairs) {
    const model = await world.model()
    return select(pairs, BATCH * MAX_STEPS, (pair) => pairColumns(model, pair, MAX_LENGTH))
  },
  work: () => BATCH * STEPS,
}

function section(trainer: Trainer): Section<TrainersWorld> {
  const { figure, op } = trainer
  return {
    figures: [figure],
    async run(world, record) {
      const pairs = readPreferences(preferencesFile())
      if (pairs === undefined) {
        world.log(`skipped: ${preferencesFile()} is not there; PLUMBLINE_DATA names the data folder.`)
        return
      }
      const [folder, { rows, columns }] = [await trainer.folder(world), await trainer.rows(world, pairs)]
      const ours = await world.ours(op, { folder, rows, config })
      let trl: TrlTrainer | undefined
      try {
        const request = {
          folder,
          rows: inTrainingOrder(columns, BATCH, SEED),
          batch_size: BATCH,
          max_length: MAX_LENGTH,
        }
        const faster = await fasterPrecision(world, op, request, WARM_STEPS)
        if (faster) {
          checkFirstStep(ours.first, faster.firstInFp32)
          trl = await world.trl(op, { ...request, bf16: faster.precision === 'bf16' })
        }
        const { tokens, ...rates } = await inTurns(trainer, ours, trl, world.runs(3))
        record(figure, {
          ...rates,
          peerName: trl && faster ? `${trl.trl}, ${trl.torch}, ${faster.precision}` : null,
          details: { steps: STEPS, tokens, loss: ours.first.metrics.loss, ...(faster && detailsOf(faster)) },
        })
      } finally {
        await Promise.all([ours.close(), trl?.close()])
      }
    },
  }
}

/** Turns of both sides, in which they must see the same number of real tokens. */
async function inTurns(
  { work }: Pick<Trainer, 'work'>,
  ours: SteppedTrainer,
  trl: SteppedTrainer | undefined,
  runs: number,
) {
  const tokens: { ours: number[]; trl: number[] } = { ours: [], trl: [] }
  const side = (name: keyof typeof tokens, trainer: SteppedTrainer) => async () => {
    const turn = await trainer.steps(STEPS)
    tokens[name].push(turn.tokens)
    return work(turn) / turn.seconds
  }
  const sides = { ours: side('ours', ours), peer: trl && side('trl', trl) }
  const rates = await interleave(sides, { runs: Math.min(runs, MAX_TURNS), warmups: 0 })
  tokens.trl.forEach((count, run) => {
    checkEqual(`real tokens of turn ${run + 1}`, tokens.ours[run], count, 0)
  })
  return { ...rates, tokens: tokens.ours }
}

/** The last step is left out: there our reward model is evaluated. */
const MAX_TURNS = Math.floor((MAX_STEPS - 2) / STEPS)

function checkFirstStep(ours: Turn, trl: Turn): void {
  checkEqual('real tokens of the first step', ours.tokens, trl.tokens, 0)
  checkEqual('loss of the first step', ours.metrics.loss, trl.metrics.loss, LOSS_TOLERANCE * trl.metrics.loss)
}

function detailsOf({ seconds, firstInFp32 }: FasterPrecision) {
  return { trl_loss: firstInFp32.metrics.loss, trl_warm_s: { steps: WARM_STEPS, ...seconds } }
}

export const supervisedFineTuning = section(sft)
export const rewardModel = section(reward)
