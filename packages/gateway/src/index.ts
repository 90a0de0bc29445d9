export { type FeedbackClaim, verifyFeedback } from './feedback-token.ts'
export { type ServeOptions, type Serving, serve } from './serve.ts'
