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
export type { Calibration, Graded, Grader, MeasuredRate, RefusalLabel } from './grader.ts'
export { type GraderName, graders } from './graders.ts'
export { krippendorffAlpha } from './krippendorff.ts'
export { mcnemarExact, meanInterval, type Pair, pairedBootstrap } from './paired.ts'
export {
  type Count,
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
