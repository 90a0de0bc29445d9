/** What the sections of the engine bench share, each made when it is first asked for. */
import { access, readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import {
  type LanguageModel,
  loadLanguageModel,
  loadModelFolder,
  plumblineHome,
  pullModel,
  saveModelFolder,
  tokenizerFromGguf,
} from '@plumbline/models'
import type { BenchOptions } from '../bench.ts'
import { benchFolder, rootFolder } from '../paths.ts'
import { findPeerPython, type Peer, startPeer } from '../peer.ts'

export interface EngineWorld {
  /** Pairs to run: the user's wish, or the section's default. */
  runs(byDefault: number): number
  readonly threads: number
  readonly log: (text: string) => void
  /** The model as a Hugging Face folder in fp32; both sides read their weights from it. */
  folder(): Promise<string>
  model(): Promise<LanguageModel>
  /** Python with the peers; undefined when there is none, which is said once. */
  python(): Promise<string | undefined>
  /** The peer with the model loaded. */
  peer(): Promise<Peer | undefined>
  /** Token ids of a real text, [rows][time]. Throws BENCH_TEXT_SHORT. */
  text(rows: number, time: number): Promise<number[][]>
  close(): Promise<void>
}

export const modelName = 'smollm2-135m-instruct'

export function openEngineWorld({ runs, log }: BenchOptions): EngineWorld {
  const threads = availableParallelism()
  const folder = once(() => modelFolder(log))
  const model = once(async () => loadLanguageModel(await folder()))
  const python = once(() => orAbsent(log, () => findPeerPython(log)))
  const peer = once(async () => {
    const found = await python()
    return found === undefined ? undefined : orAbsent(log, () => loadedPeer(found, threads, folder))
  })
  return {
    runs: (byDefault) => runs ?? byDefault,
    threads,
    log,
    folder,
    model,
    python,
    peer,
    async text(rows, time) {
      const ids = (await model()).tokenizer.encode(await readFile(join(rootFolder, 'LICENSE'), 'utf8'))
      if (ids.length < rows * time)
        throw new PlumblineError(
          'BENCH_TEXT_SHORT',
          `LICENSE has ${ids.length} tokens, the bench needs ${rows * time}.`,
        )
      return Array.from({ length: rows }, (_, row) => ids.slice(row * time, (row + 1) * time))
    },
    async close() {
      if (peer.isStarted()) await (await peer())?.close()
    },
  }
}

async function loadedPeer(python: string, threads: number, folder: () => Promise<string>): Promise<Peer> {
  const peer = await startPeer(python, threads)
  await peer.call('load', { folder: await folder() })
  return peer
}

/** Pulls the model if need be and writes it once as transformers reads it. */
async function modelFolder(log: (text: string) => void): Promise<string> {
  const { path, manifest } = await pullModel(modelName, { home: plumblineHome(process.env), now: Date.now })
  const folder = join(benchFolder, `${modelName}-${manifest!.files[0].sha256.slice(0, 12)}`)
  // A known model has a manifest. config.json appears with the rest: the folder is written all at once.
  if (await exists(join(folder, 'config.json'))) return folder
  log(`writing ${folder}`)
  const { config, parameters, tokenizer, generationConfig } = await loadModelFolder(path)
  const files = tokenizer.gguf ? tokenizerFromGguf(tokenizer.gguf) : tokenizer
  await saveModelFolder(folder, { config, parameters, ...files, generationConfig })
  return folder
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

/** What needs the peer; undefined, and said, where there is none. */
export async function orAbsent<T>(log: (text: string) => void, start: () => Promise<T>): Promise<T | undefined> {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof PlumblineError && error.code === 'PEER_MISSING')) throw error
    log(`no peer: ${error.message} ${error.hint} Going on with our side alone.`)
    return undefined
  }
}

/** Computes at the first call. */
export function once<T>(compute: () => Promise<T>): (() => Promise<T>) & { isStarted(): boolean } {
  let value: Promise<T> | undefined
  return Object.assign(() => (value ??= compute()), { isStarted: () => value !== undefined })
}
