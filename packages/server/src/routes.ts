import type { Route } from '@plumbline/gateway'
import { langfuseRoutes } from './feedback/langfuse-routes.ts'
import { createFeedbackLimiter, type FeedbackLimits } from './feedback/limits.ts'
import { feedbackRoutes } from './feedback/routes.ts'
import { telemetryRoutes } from './feedback/telemetry-routes.ts'
import type { MonitoringPlan } from './monitoring/plan.ts'
import { monitoringRoutes } from './monitoring/routes.ts'
import { reviewRoutes } from './review/routes.ts'
import { trainingRunRoutes } from './training-runs/routes.ts'
import type { Runs } from './training-runs/runs.ts'

interface ServerRoutesOptions {
  readonly limits?: Partial<FeedbackLimits>
  /** The training runs to show; none when left out. */
  readonly runs?: Runs | undefined
}

/** What a gateway serves for people and for those who judge. */
export function createServerRoutes(
  plan: MonitoringPlan,
  { limits = {}, runs }: ServerRoutesOptions = {},
): readonly Route[] {
  const limiter = createFeedbackLimiter(limits)
  return [
    ...feedbackRoutes(limiter),
    ...langfuseRoutes(limiter),
    ...telemetryRoutes(limiter),
    ...reviewRoutes(plan),
    ...monitoringRoutes(plan),
    ...trainingRunRoutes(runs),
  ]
}
