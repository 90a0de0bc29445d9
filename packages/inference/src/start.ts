import { randomBytes } from 'node:crypto'
import type { ChildReady, ChildRequest } from './child.ts'
import { keepProcess } from './kept-process.ts'

export interface LocalModelOptions {
  /** A folder or a GGUF file. */
  readonly path: string
  /** What requests call the model. */
  readonly name: string
  /** Answers written at the same time. */
  readonly batchSize: number
  /** Answers that wait for a place, at most; past them a request is refused. */
  readonly maxWaiting: number
  readonly warn: (text: string) => void
  /** Gives up the start. */
  readonly signal: AbortSignal
}

/** A model served on this machine; for the gateway an upstream like any other. */
export interface LocalModel {
  readonly url: string
  readonly apiKey: string
  readonly contextLength: number
  stop(): Promise<void>
}

/** Starts the process of a local model and keeps it there. Throws what the model's loading throws, LOCAL_MODEL_FAILED. */
export async function startLocalModel({ warn, signal, ...model }: LocalModelOptions): Promise<LocalModel> {
  const apiKey = randomBytes(32).toString('base64url')
  const { ready, stop } = await keepProcess<ChildRequest, ChildReady>({
    file: 'child',
    what: 'local model',
    code: 'LOCAL_MODEL_FAILED',
    memoryHint: 'There was not enough memory, perhaps: try a lower --batch-size.',
    // Under the same address each time.
    request: (first) => ({ ...model, apiKey, port: first?.port ?? 0 }),
    warn,
    signal,
  })
  return { url: `http://127.0.0.1:${ready.port}/v1`, apiKey, contextLength: ready.contextLength, stop }
}
