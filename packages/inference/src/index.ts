export { type LocalModel, type LocalModelOptions, startLocalModel } from './start.ts'
