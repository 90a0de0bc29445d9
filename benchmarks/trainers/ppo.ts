/**
 * PPO against TRL's: the same prompts, answers of the same length, as many epochs and optimizer steps. TRL's value model
 * is one of its own; ours may be that, or a head on the policy's trunk.
 */
import type { PromptRow } from '@plumbline/align/config'
import type { Section } from '../bench.ts'
import { checkEqual } from '../check-equal.ts'
import type { Figure } from '../figure.ts'
import { interleave, type Side } from '../interleave.ts'
import { fasterPrecision, type Precision } from './faster-precision.ts'
import type { PpoFirstTurn } from './our-trainer.ts'
import { promptIds, readPrompts } from './rows.ts'
import type { Turn } from './turns.ts'
import type { SteppedTrainer, TrainersWorld, TrlTrainer } from './world.ts'

const EPISODES = 16
const NEW_TOKENS = 48
const EPOCHS = 4
const TEMPERATURE = 0.7
/** The faster precision is sought with so many episodes and one epoch. */
const FEW_EPISODES = 4
/** Of the number itself; autocast rounds to 8 bits. */
const TOLERANCE: Readonly<Record<Precision, number>> = { fp32: 1e-3, bf16: 3e-2 }
/** What an iteration knows of its rollout: sums over the answers' tokens, before anything was learned. */
const ROLLOUT_METRICS = ['objective/scores', 'objective/entropy']

type ValueModel = 'separate' | 'shared'

const time = (valueModel: ValueModel, title: string, ratio: number): Figure => ({
  name: `ppo_${valueModel}`,
  title: `PPO iteration, ${EPISODES} answers of ${NEW_TOKENS} tokens, ${EPOCHS} epochs, ${title}`,
  unit: 's',
  better: 'lower',
  goal: { ratio },
})
const memory = (valueModel: ValueModel, title: string): Figure => ({
  name: `ppo_memory_${valueModel}`,
  title: `peak memory of that PPO, ${title}`,
  unit: 'GB',
  better: 'lower',
  // 0.6 of TRL's.
  goal: { ratio: 1.67 },
})
const titles = { separate: 'value model of its own', shared: "value head on the policy's trunk" }
const figures = {
  separate: { time: time('separate', titles.separate, 1.3), memory: memory('separate', titles.separate) },
  shared: { time: time('shared', titles.shared, 2), memory: memory('shared', titles.shared) },
}

/** TRL after its first iteration, and how its precision was found. */
interface Opponent extends TrlTrainer {
  readonly precision: Precision
  readonly warmSeconds: Readonly<Record<Precision, number | null>>
}

/** At most one of our processes and one of TRL's at a time: three would not fit into 24 GB. */
export const ppo: Section<TrainersWorld> = {
  figures: [figures.separate.time, figures.separate.memory, figures.shared.time, figures.shared.memory],
  async run(world, record, isWanted) {
    const prompts = readPrompts(EPISODES)
    let trl: Opponent | undefined
    try {
      for (const valueModel of ['separate', 'shared'] as const) {
        const { time, memory } = figures[valueModel]
        if (!isWanted(time) && !isWanted(memory)) continue
        const ours = await openOurs(world, prompts, valueModel)
        try {
          trl ??= await openTrl(world, prompts, ours.first.answers)
          if (trl) checkRollout(ours.first, trl.first, TOLERANCE[trl.precision])
          const { seconds, peaks } = await iterations(ours, trl, world.runs(2))
          const peerName = trl ? `${trl.trl}, ${trl.torch}, ${trl.precision}` : null
          const details = { new_tokens: EPISODES * NEW_TOKENS, ...detailsOf(ours.first, trl) }
          record(time, { ...seconds, peerName, details })
          record(memory, { ...peaks, peerName })
        } finally {
          await ours.close()
        }
      }
    } finally {
      await trl?.close()
    }
  },
}

async function openOurs(world: TrainersWorld, rows: readonly PromptRow[], valueModel: ValueModel) {
  return world.ours<PpoFirstTurn>('train_ppo', {
    folder: await world.folder(),
    rewardFolder: await world.rewardFolder(),
    rows,
    config: {
      per_device_train_batch_size: EPISODES,
      response_length: NEW_TOKENS,
      num_ppo_epochs: EPOCHS,
      num_mini_batches: 1,
      temperature: TEMPERATURE,
      value_model: valueModel,
      learning_rate: 1e-5,
      lr_scheduler_type: 'constant',
      max_steps: 10_000,
      logging_steps: 1,
      save_steps: 0,
    },
  })
}

/** TRL learns from the answers that our first rollout sampled; later it samples its own. */
async function openTrl(
  world: TrainersWorld,
  rows: readonly PromptRow[],
  answers: readonly (readonly number[])[],
): Promise<Opponent | undefined> {
  const { tokenizer } = await world.model()
  const prompts = rows.map(({ prompt }) => promptIds(tokenizer, prompt))
  const request = { folder: await world.folder(), reward_folder: await world.rewardFolder(), temperature: TEMPERATURE }
  const few = { prompts: prompts.slice(0, FEW_EPISODES), answers: answers.slice(0, FEW_EPISODES), epochs: 1 }
  const faster = await fasterPrecision(world, 'train_ppo', { ...request, ...few }, 1)
  if (!faster) return undefined
  const { precision, seconds: warmSeconds } = faster
  const whole = { prompts, answers, epochs: EPOCHS, bf16: precision === 'bf16' }
  const trainer = await world.trl('train_ppo', { ...request, ...whole })
  return trainer && { ...trainer, precision, warmSeconds }
}

function checkRollout(ours: Turn, trl: Turn, tolerance: number): void {
  for (const name of ROLLOUT_METRICS) {
    const [our, theirs] = [ours.metrics[name], trl.metrics[name]]
    checkEqual(`${name} of the first rollout`, our, theirs, tolerance * Math.max(1, Math.abs(theirs)))
  }
}

async function iterations(ours: SteppedTrainer, trl: SteppedTrainer | undefined, runs: number) {
  const peaks: { ours: number[]; peer: number[] } = { ours: [], peer: [] }
  const side = (name: keyof typeof peaks, trainer: SteppedTrainer) => async () => {
    const { seconds, peak_bytes } = await trainer.steps(1)
    peaks[name] = [peak_bytes / 1e9]
    return seconds
  }
  const sides: Record<keyof typeof peaks, Side | undefined> = {
    ours: side('ours', ours),
    peer: trl && side('peer', trl),
  }
  return { seconds: await interleave(sides, { runs, warmups: 0 }), peaks }
}

function detailsOf({ metrics }: Turn, trl: Opponent | undefined) {
  const scores = { scores: metrics['objective/scores'], entropy: metrics['objective/entropy'] }
  if (!trl) return scores
  const { first, warmSeconds } = trl
  return {
    ...scores,
    trl_scores: first.metrics['objective/scores'],
    trl_entropy: first.metrics['objective/entropy'],
    trl_warm_s: { episodes: FEW_EPISODES, epochs: 1, ...warmSeconds },
  }
}
