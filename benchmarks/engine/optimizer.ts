/** AdamW over all weights against torch's, and what part of a training step it is. */
import { createAdamw, createComputePool, createParameter, type ParameterMap } from '@plumbline/engine'
import type { Section } from '../bench.ts'
import { checkEqual } from '../check-equal.ts'
import type { Figure } from '../figure.ts'
import { interleave, median, type Side, timed } from '../interleave.ts'
import type { Peer } from '../peer.ts'
import { trainingTimes } from './forward-backward.ts'
import type { EngineWorld } from './world.ts'

const overDefault: Figure = {
  name: 'adamw',
  title: 'AdamW step',
  unit: 's',
  better: 'lower',
  goal: { ratio: 0.7 },
}
const overFused: Figure = { name: 'adamw_fused', title: 'AdamW step over the fused one', unit: 's', better: 'lower' }
const share: Figure = {
  name: 'adamw_share_4x128',
  title: 'AdamW, part of a step at 4 × 128',
  unit: '%',
  better: 'lower',
  goal: { atMost: 15 },
}

const LEARNING_RATE = 1e-5
/** The first values of this weight show that all sides computed the same. */
const WITNESS = { weight: 'model.layers.0.self_attn.q_proj.weight', count: 64 }
const WITNESS_TOLERANCE = 1e-6

/** AdamW as torch has it by default (decay 0.01 on everything), its fused one, and ours. */
export const adamw: Section<EngineWorld> = {
  figures: [overDefault, overFused, share],
  async run(world, record, isWanted) {
    const times = await adamwTimes(world, world.runs(7))
    const peerName = (kind: string) => `torch.optim.AdamW, ${kind}`
    record(overDefault, { ours: times.ours, peer: times.torch, peerName: peerName('default') })
    record(overFused, { ours: times.ours, peer: times.fused, peerName: peerName('fused=True') })
    if (!isWanted(share)) return
    const step = await trainingTimes(world, { rows: 4, time: 128 }, 5)
    const percent = (parts: readonly number[], rest: readonly number[]) =>
      parts.map((part) => (100 * part) / (part + median(rest)))
    record(share, {
      ours: percent(times.ours, step.ours),
      peer: percent(times.torch, step.torch),
      peerName: peerName('default'),
    })
  },
}

async function adamwTimes(world: EngineWorld, runs: number) {
  const [{ parameters }, peer] = [await world.model(), await world.peer()]
  const weights = copies(parameters)
  const pool = createComputePool({ threads: world.threads })
  await pool.whenReady()
  try {
    const gradients = new Map([...weights].map(([name, { shape }]) => [name, syntheticGradient(name, shape)]))
    const optimizer = createAdamw(weights, pool, { weightDecay: 0.01, decays: () => true })
    await peer?.call('create_adamw', { name: 'default', fused: false })
    await peer?.call('create_adamw', { name: 'fused', fused: true })
    const ours: Side = async () =>
      (await timed(() => optimizer.step(gradients, { learningRate: LEARNING_RATE }))).seconds
    const torchs = (name: string): Side | undefined =>
      peer && (async () => (await peer.call<{ seconds: number }>('adamw_step', { name })).seconds)
    const times = await interleave({ ours, torch: torchs('default'), fused: torchs('fused') }, { runs })
    const witness = weights.get(WITNESS.weight)!.data.subarray(0, WITNESS.count)
    if (peer) for (const name of ['default', 'fused']) await checkWeights(peer, name, witness)
    return times
  } finally {
    await pool.dispose()
  }
}

function copies(parameters: ParameterMap): ParameterMap {
  return new Map(
    [...parameters].map(([name, { shape, data }]) => {
      const copy = createParameter(name, shape)
      copy.data.set(data)
      return [name, copy]
    }),
  )
}

/** The same numbers as `create_adamw` of torch_peer.py makes. */
function syntheticGradient(name: string, shape: readonly number[]) {
  const { data } = createParameter(name, shape)
  for (let i = 0; i < data.length; i++) data[i] = ((i % 251) - 125) * 1e-5
  return data
}

async function checkWeights(peer: Peer, name: string, ours: Float32Array): Promise<void> {
  const { values } = await peer.call<{ values: number[] }>('adamw_weights', { name, ...WITNESS })
  const largest = Math.max(...values.map((value, i) => Math.abs(value - ours[i])))
  checkEqual(`weights after AdamW, torch's ${name} one`, largest, 0, WITNESS_TOLERANCE)
}
