import type { AddressInfo } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { PlumblineError } from '@plumbline/contracts'
import { createDecoder, createGenerationQueue, loadLanguageModel, type ModelConfig } from '@plumbline/models'
import { createModelServer } from './server.ts'

/** The process of a local model: told by its parent what to serve, gone when its parent is. */

export interface ChildRequest {
  readonly path: string
  readonly name: string
  readonly batchSize: number
  readonly maxWaiting: number
  readonly apiKey: string
  /** 0 takes a free one. */
  readonly port: number
}

export type ChildReply =
  | { readonly port: number; readonly contextLength: number }
  | { readonly failure: { readonly code: string; readonly message: string; readonly hint: string | undefined } }
  | { readonly warning: string }

/** What the key-value cache may grow to. The context is cut where all places at once would need more. */
const maxCacheBytes = 4e9
/** Positions that a place has at first. */
const firstLength = 512

/** Resolves when the parent's end of the pipe has it. */
function send(reply: ChildReply): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(reply, () => resolve())
    else resolve()
  })
}

// Ctrl-C in a terminal comes to all processes at once, but the gateway first lets answers end.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))
process.once('message', (request: ChildRequest) => {
  serve(request).catch(async (error: unknown) => {
    const known = error instanceof PlumblineError ? error : undefined
    const { code, message, hint } = known ?? { code: 'LOCAL_MODEL_FAILED', message: String(error), hint: undefined }
    await send({ failure: { code, message, hint } })
    process.exit(1)
  })
})

async function serve({ path, name, batchSize, maxWaiting, apiKey, port }: ChildRequest): Promise<void> {
  // The gateway's moments of work should not wait for the model's seconds.
  setPriority(Math.min(19, getPriority() + 5))
  const { config, parameters, tokenizer, stopTokenIds } = await loadLanguageModel(path)
  const slots = batchSize + 1
  const contextLength = Math.min(config.maxPositions, Math.floor(maxCacheBytes / (slots * positionBytes(config))))
  const length = Math.min(firstLength, contextLength)
  const decoder = await createDecoder(config, parameters, { slots, length })
  const queue = createGenerationQueue(decoder, { maxWaiting })
  const warn = (warning: string) => void send({ warning })
  const model = { name, config, tokenizer, stopTokenIds, contextLength, now: Date.now }
  const server = createModelServer({ model, queue, apiKey, warn })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  await send({ port: (server.address() as AddressInfo).port, contextLength })
}

/** Bytes of keys and values that one token takes. */
const positionBytes = ({ layers, keyValueHeads, headSize }: ModelConfig) => layers * 2 * keyValueHeads * headSize * 4
