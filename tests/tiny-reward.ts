/** A reward model of two layers and random weights, in the process in which one is served. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type KeptRewardModel, type RewardModelOptions, startRewardModel } from '@plumbline/inference'
import { readProcesses } from '../benchmarks/trainers/process-tree.ts'
import { writeTinyRewardModel } from './trainers/tiny-models.ts'

export const scale = { mean: 0.5, std: 2 }

export interface TinyReward {
  readonly path: string
  readonly model: KeptRewardModel
  readonly warnings: string[]
  /** The process as it is now. */
  pid(): number
  signal(name: NodeJS.Signals): void
  close(): Promise<void>
}

export async function startTinyReward(options: Partial<RewardModelOptions> = {}): Promise<TinyReward> {
  const folder = await mkdtemp(join(tmpdir(), 'reward-'))
  const config = { max_position_embeddings: 512 }
  const path = await writeTinyRewardModel(join(folder, 'model'), { ...scale, config, deviation: 0.4 })
  const warnings: string[] = []
  const before = new Set(childrenOfThis())
  const signal = new AbortController().signal
  const warn = (text: string) => void warnings.push(text)
  const model = await startRewardModel({ path, name: 'the tiny one', warn, signal, ...options })
  const pid = () => childrenOfThis().filter((child) => !before.has(child))[0]
  return {
    path,
    model,
    warnings,
    pid,
    signal: (name) => void process.kill(pid(), name),
    close: async () => {
      await model.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function childrenOfThis(): number[] {
  return readProcesses()
    .filter(({ parent }) => parent === process.pid)
    .map(({ pid }) => pid)
}
