import { createRequire } from 'node:module'
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { version } from '../version.ts'

export const env = defineCommand({
  name: 'env',
  summary: 'what Plumbline runs on; paste it into a bug report',
  examples: [
    { line: 'plumb env', does: 'print versions, cores, memory and folders' },
    { line: 'plumb env --json', does: 'the same for a program' },
  ],
  config: z.object({}),
  run(_config, world) {
    const facts = {
      plumbline: version,
      node: process.versions.node,
      ...runtimeFacts(),
      platform: `${process.platform} ${release()} ${arch()}`,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memory_gb: gigabytes(totalmem()),
      memory_available_gb: gigabytes(process.availableMemory()),
      home: world.home,
    }
    if (world.json) return world.emit(facts)
    const width = Math.max(...Object.keys(facts).map((key) => key.length))
    const rows = Object.entries(facts).map(([key, value]) => `${key.padEnd(width)}  ${value}`)
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

function gigabytes(bytes: number): number {
  return Math.round(bytes / 1e8) / 10
}
