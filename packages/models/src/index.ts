export { type KnownModel, knownModels } from './known-models.ts'
export {
  type CachedModel,
  listModels,
  type Manifest,
  plumblineHome,
  removeModel,
  resolveModel,
} from './model-cache.ts'
export { type PulledModel, type PullOptions, pullModel } from './pull.ts'
export type { PullEvent } from './pull-events.ts'
