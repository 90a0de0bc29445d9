import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchOptions } from '../bench.ts'
import { type LineProcess, startLineProcess } from '../line-process.ts'

/** What the figures of the gateway share: an upstream and a load generator, each a process of its own. */
export interface GatewayWorld extends BenchOptions {
  /** The first number, or with --quick the second. */
  scale(whole: number, quick: number): number
  /** Where the upstream listens, without a path. */
  upstream(): Promise<string>
  /** A proxy in front of it that does nothing else: what any gateway of Node's server and undici costs. */
  bareProxy(): Promise<{ readonly url: string; readonly pid: number }>
  load: LineProcess['call']
  /** A new, empty folder that goes away in the end. */
  folder(): Promise<string>
  close(): Promise<void>
}

/** Rounds of 5 s that do not count: as long as V8 takes until it has optimised a server. */
export const warmRounds = 4

/** In the details of every figure that load makes. */
export const sharing = 'load generator, upstream and gateway share the cores'

export function openGatewayWorld(options: BenchOptions): GatewayWorld {
  const children: LineProcess[] = []
  const folders: string[] = []
  const start = (file: string) => {
    const child = startLineProcess(process.execPath, [fileURLToPath(new URL(file, import.meta.url))])
    children.push(child)
    return child
  }
  let upstream: Promise<{ url: string }> | undefined
  let bareProxy: Promise<{ url: string; pid: number }> | undefined
  let load: LineProcess | undefined
  const upstreamUrl = async () => {
    upstream ??= start('./upstream-child.ts').call<{ url: string }>('listen')
    return (await upstream).url
  }
  return {
    ...options,
    scale: (whole, quick) => (options.isQuick ? quick : whole),
    upstream: upstreamUrl,
    bareProxy: async () => {
      bareProxy ??= start('./bare-proxy-child.ts').call('listen', { upstream: await upstreamUrl() })
      return bareProxy
    },
    load: (op, request) => {
      load ??= start('./load-child.ts')
      return load.call(op, request)
    },
    folder: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'gateway-bench-'))
      folders.push(folder)
      return folder
    },
    close: async () => {
      await Promise.all(children.map((child) => child.close()))
      for (const folder of folders) await rm(folder, { recursive: true, force: true })
    },
  }
}
