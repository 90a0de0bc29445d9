export { createServerRoutes } from './routes.ts'
