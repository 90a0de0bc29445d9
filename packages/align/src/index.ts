export { type AlignData, type AlignSetting, type AlignWorld, runAlign } from './align.ts'
export { type Advantages, type GaeOptions, gae, type WhitenOptions, whiten } from './parts/advantages.ts'
export { type PlanOptions, planBatches } from './parts/batches.ts'
export { checkBestIsMeasured } from './parts/best-checkpoint.ts'
export type { Checkpoint, CheckpointToSave } from './parts/checkpoint.ts'
export type { JsonValue } from './parts/json-value.ts'
export {
  type AdaptiveKlOptions,
  adaptKlCoef,
  createKlController,
  type KlController,
  type KlControllerOptions,
  type KlControllerState,
  type KlEstimator,
  klEstimate,
  klPerToken,
} from './parts/kl.ts'
export {
  type PpoPolicyLoss,
  type PpoPolicyLossInputs,
  type PpoValueLoss,
  type PpoValueLossInputs,
  ppoPolicyLoss,
  ppoValueLoss,
  ratioVariance,
} from './parts/losses/ppo.ts'
export {
  type PairwiseRewardLoss,
  type RewardLossInputs,
  type RewardScoreLossInputs,
  rewardLoss,
  rewardScoreLoss,
} from './parts/losses/reward.ts'
export { sftLoss } from './parts/losses/sft.ts'
export { entropyFromLogits, tokenAccuracy } from './parts/losses/token-metrics.ts'
export { checkMemory, estimateMemory } from './parts/memory.ts'
export { placeRow } from './parts/row-place.ts'
export type { Rows } from './parts/rows.ts'
export type { RunConfig } from './parts/run-config.ts'
export { isDiskFull } from './parts/run-files.ts'
export { checkRunFolder, type OpenRunOptions, openRunFolder, type RunFolder } from './parts/run-folder.ts'
export { describeModel, describeRows, describeText, type RunInput, type RunInputs } from './parts/run-inputs.ts'
export { isLockFile, lockFolder, strangersIn } from './parts/run-lock.ts'
export type { SampleRow } from './parts/run-logs.ts'
export { type RunTrainerWorld, runTrainer } from './parts/run-trainer.ts'
export {
  type ShapeScoresOptions,
  shapeScores,
  type TokenRewards,
  type TokenRewardsInputs,
  type TokenRewardsOptions,
  tokenRewards,
} from './parts/token-rewards.ts'
export type { TrainerWorld } from './parts/training.ts'
export { writeTrainedModel } from './parts/write-trained-model.ts'
export { trainPpo } from './ppo.ts'
export { type IntervalChartOptions, type IntervalRow, intervalChart, type Shape } from './report/interval-chart.ts'
export { type LineChartOptions, type LinePoint, type LineSeries, lineChart } from './report/line-chart.ts'
export { html, Markup, type Part } from './report/markup.ts'
export { type ReliabilityBin, type ReliabilityChartOptions, reliabilityChart } from './report/reliability-chart.ts'
export { renderReport } from './report/render-report.ts'
export { type ChartColour, chartStyles } from './report/styles.ts'
export { warningsOf } from './report/warnings.ts'
export { rewardModelConfig, trainReward, writeRewardModel } from './reward.ts'
export { rewardKind } from './reward-rows.ts'
export { trainSft } from './sft.ts'
