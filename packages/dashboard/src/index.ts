export { loadPages, pagePaths } from './pages.ts'
