export type { MarkedText } from './chat-codec.ts'
export { encodeChatCompletion } from './chat-completion.ts'
export type { ChatMessage, ChatOptions } from './chat-template.ts'
export { type TokenizerFiles, tokenizerFromGguf } from './gguf-tokenizer.ts'
export {
  createTextStream,
  type DecodeOptions,
  type EncodeOptions,
  type LoadTokenizerOptions,
  loadTokenizer,
  type Tokenizer,
} from './tokenizer.ts'
