export {
  auc,
  aucInterval,
  brierScore,
  type CalibrationBin,
  calibrationCurve,
  cohenKappa,
  expectedCalibrationError,
  type Forecast,
} from './agreement.ts'
export { type CalibrationRun, calibrate, type LabelledItem } from './calibrate.ts'
export { pearson, spearman } from './correlation.ts'
export { type Counterfactual, counterfactualsOf, onSecondSide } from './counterfactual/swap.ts'
export { axes, swapsVersion } from './counterfactual/swaps.ts'
export { logBeta, normalQuantile } from './distributions.ts'
export {
  type Calibration,
  calibrationId,
  calibrationOf,
  type Evaluation,
  type EvaluationItem,
  type Evaluator,
  evaluate,
  type Fact,
  type Finding,
  type MeasuredRate,
} from './evaluator.ts'
export { createJudge, type JudgeReply, type JudgeSettings } from './evaluators/judge.ts'
export { type EvaluatorName, evaluators } from './evaluators.ts'
export type { Graded, Grader, RefusalLabel } from './grader.ts'
export { harm } from './graders/harm.ts'
export { refusal } from './graders/refusal.ts'
export { judgeBody, readJudgeReply } from './judge-question.ts'
export { krippendorffAlpha } from './krippendorff.ts'
export { fitLogistic, type LogisticModel, predict, type SparseRow } from './logistic.ts'
export { mcnemarExact, meanInterval, type Pair, pairedBootstrap, pairedDifference } from './paired.ts'
export { type PersonalDataKind, type PersonalDataName, personalDataKinds } from './personal-data.ts'
export {
  type Count,
  checkedCount,
  clopperPearson,
  type Estimate,
  type GraderError,
  type Interval,
  newcombeDifference,
  roganGladen,
  roganGladenEstimate,
  type WeightedCount,
  wilson,
} from './proportions.ts'
export { complianceRate, type GradedRow, type Rate, refusalRate } from './rates.ts'
export { type EvaluationSummary, summarise } from './summary.ts'
export { fitTemperature, type LogitForecast } from './temperature.ts'
