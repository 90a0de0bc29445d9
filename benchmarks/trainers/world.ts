/** What the sections of the trainers bench share. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rewardModelConfig, writeTrainedModel } from '@plumbline/align'
import { createParameter, createRandom } from '@plumbline/engine'
import { type LanguageModel, SCORE_HEAD } from '@plumbline/models'
import type { BenchOptions } from '../bench.ts'
import { type EngineWorld, once, openEngineWorld, orAbsent } from '../engine/world.ts'
import { startLineProcess } from '../line-process.ts'
import { type Peer, startPeer } from '../peer.ts'
import type { Turn } from './turns.ts'

/** A trainer in a process of its own, ours or TRL's, after its first step. */
export interface SteppedTrainer<First extends Turn = Turn> {
  readonly first: First
  steps(count: number): Promise<Turn>
  close(): Promise<void>
}

export interface TrainersWorld extends EngineWorld {
  /** The model with a score head, as a reward model's folder; both sides read their weights from it. */
  rewardFolder(): Promise<string>
  /** Our trainer. `op` is one of our-trainer.ts. */
  ours<First extends Turn>(op: string, request: Readonly<Record<string, unknown>>): Promise<SteppedTrainer<First>>
  /** TRL's; undefined where there is no Python with it, which is said. `op` is one of trl_peer.py; `signal` ends it. */
  trl(op: string, request: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<TrlTrainer | undefined>
}

export interface TrlTrainer extends SteppedTrainer, Pick<Peer, 'trl' | 'torch'> {}

export function openTrainersWorld(options: BenchOptions): TrainersWorld {
  const world = openEngineWorld(options)
  const scratch = once(() => mkdtemp(join(tmpdir(), 'plumbline-bench-')))
  let runs = 0
  return {
    ...world,
    rewardFolder: once(async () => writeRewardFolder(`${await world.folder()}-reward`, await world.model())),
    async ours(op, request) {
      const file = fileURLToPath(new URL('./our-trainer.ts', import.meta.url))
      // As bin/plumb.js starts a trainer.
      const child = startLineProcess(process.execPath, [file], { MALLOC_MMAP_THRESHOLD_: '1048576', ...process.env })
      const output = join(await scratch(), String(runs++))
      return stepped(child, op, { ...request, output })
    },
    async trl(op, request, signal) {
      const python = await world.python()
      if (python === undefined) return undefined
      const peer = await orAbsent(world.log, () => startPeer(python, world.threads, 'trl_peer.py'))
      if (!peer) return undefined
      const { trl, torch } = peer
      if (signal?.aborted) await peer.close()
      else signal?.addEventListener('abort', () => peer.close())
      return { ...(await stepped(peer, op, request)), torch, ...(trl !== undefined && { trl }) }
    },
    async close() {
      await world.close()
      if (scratch.isStarted()) await rm(await scratch(), { recursive: true, force: true })
    },
  }
}

async function stepped<First extends Turn>(
  child: Pick<Peer, 'call' | 'close'>,
  op: string,
  request: Readonly<Record<string, unknown>>,
): Promise<SteppedTrainer<First>> {
  try {
    const first = await child.call<First>(op, request)
    return { first, steps: (count) => child.call<Turn>('steps', { count }), close: () => child.close() }
  } catch (error) {
    await child.close()
    throw error
  }
}

/** A head that both sides start from. The scores of an untrained one are as good as any to compute with. */
async function writeRewardFolder(folder: string, model: LanguageModel): Promise<string> {
  // config.json appears with the rest: the folder is written all at once.
  if (existsSync(join(folder, 'config.json'))) return folder
  const head = createParameter(SCORE_HEAD, [1, model.config.hiddenSize])
  const random = createRandom(0)
  for (let i = 0; i < head.data.length; i++) head.data[i] = random.normal() / Math.sqrt(model.config.hiddenSize + 1)
  const parameters = new Map(model.parameters).set(SCORE_HEAD, head)
  await writeTrainedModel(folder, model, parameters, rewardModelConfig(model.rawConfig, { mean: 0, std: 1 }))
  return folder
}
