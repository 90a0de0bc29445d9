export {
  auc,
  brierScore,
  type CalibrationBin,
  calibrationCurve,
  cohenKappa,
  expectedCalibrationError,
  type Forecast,
} from './agreement.ts'
export { pearson, spearman } from './correlation.ts'
export { logBeta, normalQuantile } from './distributions.ts'
export type { Calibration, Graded, Grader, MeasuredRate, RefusalLabel } from './grader.ts'
export { harm } from './graders/harm.ts'
export { type GraderName, graders } from './graders.ts'
export { fitLogistic, type LogisticModel, predict, type SparseRow } from './logistic.ts'
export { mcnemarExact, meanInterval, type Pair, pairedBootstrap } from './paired.ts'
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
  wilson,
} from './proportions.ts'
export { complianceRate, type GradedRow, type Rate, refusalRate } from './rates.ts'
export { fitTemperature, type LogitForecast } from './temperature.ts'
