export type { ChatMessage, ChatOptions } from './chat-template.ts'
export { type TokenizerFiles, tokenizerFromGguf } from './gguf-tokenizer.ts'
export {
  createTextStream,
  type DecodeOptions,
  type EncodeOptions,
  encodeChatCompletion,
  type LoadTokenizerOptions,
  loadTokenizer,
  type MarkedText,
  type Tokenizer,
} from './tokenizer.ts'
