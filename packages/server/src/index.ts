export { type MonitoringPlan, readMonitoring } from './monitoring/plan.ts'
export { startMonitoring } from './monitoring/service.ts'
export { createServerRoutes } from './routes.ts'
