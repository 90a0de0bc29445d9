import type { Route } from '@plumbline/gateway'
import { langfuseRoutes } from './feedback/langfuse-routes.ts'
import { createFeedbackLimiter, type FeedbackLimits } from './feedback/limits.ts'
import { feedbackRoutes } from './feedback/routes.ts'
import { telemetryRoutes } from './feedback/telemetry-routes.ts'
import type { MonitoringPlan } from './monitoring/plan.ts'
import { monitoringRoutes } from './monitoring/routes.ts'
import { reviewRoutes } from './review/routes.ts'

/** What a gateway serves for people and for those who judge. */
export function createServerRoutes(plan: MonitoringPlan, limits: Partial<FeedbackLimits> = {}): readonly Route[] {
  const limiter = createFeedbackLimiter(limits)
  return [
    ...feedbackRoutes(limiter),
    ...langfuseRoutes(limiter),
    ...telemetryRoutes(limiter),
    ...reviewRoutes(plan),
    ...monitoringRoutes(plan),
  ]
}
