import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'

/** An error met while reading a tokenizer, as one that a user understands. */
export function brokenTokenizer(cause: unknown): PlumblineError {
  if (cause instanceof PlumblineError) return cause
  const why = cause instanceof z.ZodError ? firstIssue(cause) : cause instanceof Error ? cause.message : String(cause)
  return new PlumblineError('BAD_TOKENIZER', `the tokenizer is broken: ${why}.`, {
    hint: 'Download or copy the model again; if it stays like this, its tokenizer was written wrongly.',
    cause,
  })
}

/** The error for a part of tokenizer.json that there is no code for. */
export function unsupportedPart(what: string, supported: string): PlumblineError {
  return new PlumblineError('UNSUPPORTED_TOKENIZER', `${what} is not supported; supported: ${supported}.`, {
    hint: 'Use a model with a byte-level or SentencePiece BPE tokenizer (Llama, Qwen2, GPT-2, SmolLM2).',
  })
}

/** The error with the file that it is about in front. */
export function inFile(where: string, error: unknown): PlumblineError {
  const { code, message, hint, cause } = brokenTokenizer(error)
  return new PlumblineError(code, `${where}: ${message}`, { hint, cause })
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]
  return `${issue.path.join('.') || 'the file'}: ${issue.message}`
}
