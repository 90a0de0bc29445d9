/** A turn of a conversation, as chat templates take it. */
export interface Turn {
  readonly role: string
  readonly content: string
}

/** What an answer answers: a conversation, or plain text that it goes on from. */
export type Conversation = readonly Turn[] | string

/** A model that scores answers. It computes elsewhere than on the gateway's thread. */
export interface RewardModel {
  /** Changes with everything that can change a score. */
  readonly version: string
  /**
   * The reward of each answer, the higher the better, in standard deviations from the mean where the model has these.
   * Throws REWARD_MODEL_BUSY, REWARD_MODEL_AWAY, REWARD_TEXT_TOO_LONG, REWARD_FAILED, and the signal's reason.
   */
  score(asked: Conversation, answers: readonly string[], signal: AbortSignal): Promise<number[]>
  state(): RewardModelState
}

export interface RewardModelState {
  readonly isUp: boolean
  /** Calls that are not answered yet. */
  readonly waiting: number
}
