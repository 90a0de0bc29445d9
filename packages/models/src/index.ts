export {
  compareTokens,
  completionFeeds,
  completionTargets,
  forwardFeeds,
  type PromptCompletion,
  raggedCompletionFeeds,
  raggedFeeds,
  raggedTargetFeeds,
  shareTokens,
  type TargetSequence,
  TokenTrie,
} from './batch.ts'
export { acquireLock, type Lock, type LockOptions, type LockOwner } from './cache-lock.ts'
export type { MarkedText } from './chat-codec.ts'
export { encodeChatCompletion } from './chat-completion.ts'
export type { ChatMessage, ChatOptions } from './chat-template.ts'
export { type ModelConfig, parseModelConfig, supportedModelTypes } from './config.ts'
export { cacheBytes, createDecoder, type Decoder } from './decoder.ts'
export { formatBytes, makeFolder, syncFolder } from './disk.ts'
export {
  type BuildOptions,
  buildCachedForward,
  buildForward,
  buildLowerLayers,
  buildRaggedForward,
  checkLanguageModel,
  type Forward,
  type ForwardAtRows,
  headName,
  type RaggedOptions,
  targetLogprobs,
} from './forward.ts'
export { type Completion, checkPromptLengths, type GenerateOptions, generate, type TokenEvent } from './generate.ts'
export { createGenerationQueue, type GenerationQueue, type GenerationRequest } from './generation-queue.ts'
export { type GgufFile, type GgufMetadata, type GgufTensor, type GgufValue, openGguf } from './gguf.ts'
export { type TokenizerFiles, tokenizerFromGguf } from './gguf-tokenizer.ts'
export { createGrowingDecoder, type GrowingDecoder } from './growing-decoder.ts'
export { SCORE_HEAD } from './head-names.ts'
export { type KnownModel, knownModels } from './known-models.ts'
export { type LanguageModel, type LoadLanguageModelOptions, loadLanguageModel } from './language-model.ts'
export {
  adaptWithLora,
  type CreateAdapterOptions,
  createAdapter,
  linearModules,
  lowestLayer,
  mergeAdapter,
} from './lora.ts'
export {
  type CachedModel,
  listModels,
  type Manifest,
  plumblineHome,
  removeModel,
  resolveModel,
} from './model-cache.ts'
export { type LoadedModel, loadModelFolder } from './model-folder.ts'
export { type Adapt, createModelGraph } from './model-graph.ts'
export { hashModel } from './model-hash.ts'
export { type Adapter, loadAdapter, type SaveAdapterOptions, saveAdapter } from './peft.ts'
export { type PulledModel, type PullOptions, pullModel } from './pull.ts'
export type { PullEvent } from './pull-events.ts'
export {
  checkRewardable,
  checkRewardModel,
  createRewardScorer,
  type RewardScorer,
  type RewardsOptions,
  scoredIds,
} from './reward.ts'
export { openSafetensors, type SafetensorsFile, type StoredTensor } from './safetensors.ts'
export { type TensorToWrite, type WriteSafetensorsOptions, writeSafetensors } from './safetensors-write.ts'
export { argmax, type SamplingOptions } from './sampling.ts'
export { type ModelToSave, type SaveModelOptions, saveModelFolder } from './save-model-folder.ts'
export { checkScorable, createScorer, lengthSortedBatches, type Scorer } from './score.ts'
export type { DrawnToken, SequenceOptions, TokenLogprob } from './sequence.ts'
export {
  createTextStream,
  type DecodeOptions,
  type EncodeOptions,
  type LoadTokenizerOptions,
  loadTokenizer,
  type Tokenizer,
} from './tokenizer.ts'
