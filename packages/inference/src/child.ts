import type { AddressInfo } from 'node:net'
import { cacheBytes, createDecoder, createGenerationQueue, loadLanguageModel } from '@plumbline/models'
import { runChild, tell } from './child-side.ts'
import { createModelServer } from './server.ts'

/** The process of a local model. */

export interface ChildRequest {
  readonly path: string
  readonly name: string
  readonly batchSize: number
  readonly maxWaiting: number
  readonly apiKey: string
  /** 0 takes a free one. */
  readonly port: number
}

export interface ChildReady {
  readonly port: number
  readonly contextLength: number
}

/** What the key-value cache may grow to. The context is cut where all places at once would need more. */
const maxCacheBytes = 4e9
/** Positions that a place has at first. */
const firstLength = 512

runChild('LOCAL_MODEL_FAILED', serve)

async function serve({ path, name, batchSize, maxWaiting, apiKey, port }: ChildRequest): Promise<void> {
  const { config, parameters, tokenizer, stopTokenIds } = await loadLanguageModel(path)
  const slots = batchSize + 1
  const contextLength = Math.min(config.maxPositions, Math.floor(maxCacheBytes / (slots * cacheBytes(config))))
  const length = Math.min(firstLength, contextLength)
  const decoder = await createDecoder(config, parameters, { slots, length })
  const queue = createGenerationQueue(decoder, { maxWaiting })
  const warn = (warning: string) => void tell({ warning })
  const model = { name, config, tokenizer, stopTokenIds, contextLength, now: Date.now }
  const server = createModelServer({ model, queue, apiKey, warn })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const ready: ChildReady = { port: (server.address() as AddressInfo).port, contextLength }
  await tell({ ready })
}

/** Bytes of keys and values that one token takes. */
