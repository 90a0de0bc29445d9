export { answersNeeded, type Baseline, baseline } from './baseline.ts'
export { type CohortGap, type CohortOutcome, cohortGaps } from './cohorts.ts'
export { type RateReading, rateSequence, type SequenceOptions } from './confidence-sequence.ts'
export { type CorrectedRate, correctedRate } from './corrected-rate.ts'
export { type CounterfactualGap, counterfactualGap } from './counterfactual.ts'
export { type DriftReport, type DriftSample, drift, levelPerLook } from './drift.ts'
export {
  type Detection,
  type DetectorState,
  detection,
  detectorStateSchema,
  klBernoulli,
  observe,
  parseDetector,
  restart,
  startDetector,
} from './e-detector.ts'
export { ENOUGH_LABELS, type LabelledAnswers, type LiveCalibration, liveCalibration } from './live-calibration.ts'
export { type PairedRates, type PairedStratum, pairedSequence } from './paired-sequence.ts'
export { type LabelledCounts, type PredictionPoweredRate, predictionPoweredRate } from './prediction-powered.ts'
export type { Reading } from './reading.ts'
export { type RateStratum, type StratifiedRate, stratifiedRate } from './stratified-rate.ts'
export {
  type WatchAlarm,
  type WatchBatch,
  type WatchOptions,
  type WatchState,
  watch,
  watchStateSchema,
} from './watch.ts'
export {
  observeWeighted,
  startWeighted,
  type WeightedObservation,
  type WeightedState,
  weightedRate,
} from './weighted-sequence.ts'
