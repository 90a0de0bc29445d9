import type { RewardModel } from '@plumbline/gateway'
import { keepProcess } from './kept-process.ts'
import type { RewardChildReady, RewardChildRequest } from './reward-child.ts'
import { ScoreQueue, type ScoreReply } from './score-queue.ts'

export interface RewardModelOptions {
  /** A folder as `plumb reward` writes it. */
  readonly path: string
  /** What messages call it. */
  readonly name: string
  /** Calls that wait, at most; past them a call fails at once. */
  readonly maxWaiting?: number
  /** A call that takes longer ends the process, which is started again. */
  readonly stuckMs?: number
  readonly warn: (text: string) => void
  /** Gives up the start. */
  readonly signal: AbortSignal
}

export interface KeptRewardModel extends RewardModel {
  stop(): Promise<void>
}

/**
 * Starts the process of a reward model and keeps it there. Throws what the model's loading throws, NOT_A_REWARD_MODEL,
 * REWARD_MODEL_CHANGED, REWARD_MODEL_FAILED.
 */
export async function startRewardModel(options: RewardModelOptions): Promise<KeptRewardModel> {
  const { path, name, maxWaiting = 64, stuckMs = 120_000, warn, signal } = options
  const queue = new ScoreQueue({ maxWaiting, stuckMs })
  const { ready, stop } = await keepProcess<RewardChildRequest, RewardChildReady>({
    file: 'reward-child',
    what: 'reward model',
    code: 'REWARD_MODEL_FAILED',
    memoryHint: 'There was not enough memory, perhaps.',
    // Guards name the version in their verdicts: another model takes a restart.
    request: (first) => ({ path, name, version: first?.version }),
    onUp: (child) => queue.up(child),
    onDown: () => queue.down(),
    onWord: (word) => queue.take(word as ScoreReply),
    warn,
    signal,
  })
  return { version: ready.version, score: queue.score, state: () => queue.state(), stop }
}
