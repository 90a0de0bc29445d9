export { loadPages } from './pages.ts'
