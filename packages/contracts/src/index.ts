export { type ErrorDetails, PlumblineError } from './errors.ts'
export { findJsonFault, type JsonFault } from './json-position.ts'
export { nearest } from './nearest.ts'
