export { demoDays } from './demo/month.ts'
export { seedDemo } from './demo/seed.ts'
export { createServerRoutes } from './routes.ts'
