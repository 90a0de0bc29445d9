import type { Command } from './command.ts'

/** Every command by name. A command's file is read only when it is run, or for an overview. */
export const commands = {
  env: async () => (await import('./commands/env.ts')).env,
  version: async () => (await import('./commands/version.ts')).version,
} satisfies Record<string, () => Promise<Command>>
