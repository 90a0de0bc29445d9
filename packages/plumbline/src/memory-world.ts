import { Readable } from 'node:stream'
import type { Globals } from './flags.ts'
import { assembleWorld, type Output, type Surroundings, type World } from './world.ts'

/** A world whose output is text: what tests hand to a command. */
export interface MemoryWorld {
  readonly world: World
  readonly stdout: () => string
  readonly stderr: () => string
}

/** The same rules of --json and --quiet as the real one; no terminal, no environment, clock at 0 unless given. */
export function createMemoryWorld(
  globals: Partial<Globals> = {},
  {
    stdin = '',
    ...around
  }: Partial<Omit<Surroundings, 'stdin' | 'stdout' | 'stderr'>> & { stdin?: string | Uint8Array } = {},
): MemoryWorld {
  const out = createBuffer()
  const err = createBuffer()
  const world = assembleWorld(
    { help: false, version: false, json: false, quiet: false, verbose: false, ...globals },
    {
      stdout: out.output,
      stderr: err.output,
      stdin: Readable.from([Buffer.from(stdin)]),
      now: () => 0,
      availableMemory: () => Number.POSITIVE_INFINITY,
      env: {},
      userFolder: '/nobody',
      cwd: process.cwd(),
      signal: new AbortController().signal,
      onHangup: () => {},
      ...around,
    },
  )
  return { world, stdout: out.text, stderr: err.text }
}

function createBuffer(): { output: Output; text: () => string } {
  const parts: string[] = []
  const output = { isTerminal: false, columns: 80, write: (text: string) => void parts.push(text) }
  return { output, text: () => parts.join('') }
}
