import type { z } from 'zod'
import type { World } from './world.ts'

/** A line that a reader can copy, and what it does. */
export interface Example {
  readonly line: string
  readonly does: string
}

/** One command of `plumb`. Flags, YAML keys and help all come from `config`. */
export interface Command<Schema extends z.ZodObject = z.ZodObject> {
  /** As typed: `env`, or with a space for a sub-command, `models pull`. */
  readonly name: string
  /** One line for the overview. */
  readonly summary: string
  /** More for the command's own help. */
  readonly description?: string
  /** At least one; the first is also shown when a required value is missing. */
  readonly examples: readonly [Example, ...Example[]]
  /** Flat, snake_case, every field with `.describe()`. */
  readonly config: Schema
  /** Fields that may be given without a flag, in this order. A last one that is an array takes all that remain. */
  readonly positionals?: readonly (keyof Schema['shape'] & string)[]
  /** It runs until a signal stops it: that is its normal end, status 0. */
  readonly isService?: true
  /**
   * Load heavy libraries in here with `await import()`: the overview reads every command's file. `reread` resolves the
   * same command line again, for a service whose file of --config has changed.
   */
  run(config: z.output<Schema>, world: World, reread: () => Promise<z.output<Schema>>): Promise<void> | void
}

/** Gives `run` the type of its own schema and forgets it for the registry. */
export function defineCommand<Schema extends z.ZodObject>(command: Command<Schema>): Command {
  return command as unknown as Command
}
