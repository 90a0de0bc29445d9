export { type ErrorDetails, PlumblineError } from './errors.ts'
export { nearest } from './nearest.ts'
