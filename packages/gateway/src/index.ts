export { AnswerFilter, shapes } from './guards/answer-filter.ts'
export { openGuardWorld } from './guards/guard-world.ts'
export { type GuardSet, readGuards } from './guards/read-guards.ts'
export { type ServeOptions, type Serving, serve } from './serve.ts'
