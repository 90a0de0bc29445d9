export { type KeptRewardModel, type RewardModelOptions, startRewardModel } from './reward-model.ts'
export { type LocalModel, type LocalModelOptions, startLocalModel } from './start.ts'
