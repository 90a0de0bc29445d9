import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { printable } from '../terminal-text.ts'
import { version } from '../version.ts'
import { describeSource } from './models.ts'

export const env = defineCommand({
  name: 'env',
  summary: 'what Plumbline runs on; paste it into a bug report',
  examples: [
    { line: 'plumb env', does: 'print versions, cores, memory and folders' },
    { line: 'plumb env --json', does: 'the same for a program' },
  ],
  config: z.object({}),
  async run(_config, world) {
    const facts = {
      plumbline: version,
      node: process.versions.node,
      ...runtimeFacts(),
      platform: `${process.platform} ${release()} ${arch()}`,
      cpu: cpus()[0]?.model ?? 'unknown',
      cpu_features: await cpuFeatures(),
      cores: availableParallelism(),
      memory_gb: gigabytes(totalmem()),
      memory_available_gb: gigabytes(process.availableMemory()),
      home: world.home,
      models: await cachedModels(world.home),
    }
    if (world.json) return world.emit(facts)
    const width = Math.max(...Object.keys(facts).map((key) => key.length))
    const rows = Object.entries(facts).map(([key, value]) => {
      const shown = Array.isArray(value) ? value.join(', ') || 'none' : (value ?? 'unknown')
      return `${key.padEnd(width)}  ${printable(String(shown))}`
    })
    world.stdout.write(`${rows.join('\n')}\n`)
  },
})

/** ONNX Runtime as the engine finds it. Loads the native library: whether that works is what a bug report must say. */
function runtimeFacts() {
  const engineRequire = createRequire(import.meta.resolve('@plumbline/engine'))
  try {
    const { version: onnxruntime } = engineRequire('onnxruntime-node/package.json') as { version: string }
    const runtime = engineRequire('onnxruntime-node') as { listSupportedBackends(): { name: string }[] }
    const providers = runtime.listSupportedBackends().map(({ name }) => name)
    return { onnxruntime, execution_providers: providers.join(', ') }
  } catch (error) {
    return {
      onnxruntime: `cannot be loaded: ${error instanceof Error ? error.message : error}`,
      execution_providers: '',
    }
  }
}

/** The vector instructions that decide how fast ONNX Runtime's kernels are; null where the system does not say. */
async function cpuFeatures(): Promise<string[] | null> {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  return vectorFeatures(text)
}

/** Of Linux' /proc/cpuinfo; a line is `flags : …` on x86, `Features : …` on ARM. */
export function vectorFeatures(cpuinfo: string): string[] | null {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1]
  if (flags === undefined) return null
  const wanted = /^(?:avx|avx2|avx_vnni|avx512f|avx512_vnni|avx512_bf16|amx_\w+|fma|f16c|asimd\w*|sve\w*|bf16|i8mm)$/
  return flags
    .trim()
    .split(/\s+/)
    .filter((flag) => wanted.test(flag))
}

/** Names of the models in the cache, with the package or commit that they came from. */
async function cachedModels(home: string): Promise<string[]> {
  const { listModels } = await import('@plumbline/models')
  const models = await listModels({ home })
  return models.map(({ name, source }) => `${name} (${describeSource(source)})`)
}

function gigabytes(bytes: number): number {
  return Math.round(bytes / 1e8) / 10
}
