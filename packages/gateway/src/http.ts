export { RequestError, sendError, sendJson } from './openai-error.ts'
export { parseObject, readBody } from './request-body.ts'
