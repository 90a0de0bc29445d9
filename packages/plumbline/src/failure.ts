import { PlumblineError } from '@plumbline/contracts'
import { createColor, printable, wantsColor } from './terminal-text.ts'
import type { World } from './world.ts'

/** Exit statuses: 1 the user's data, 2 the command line or config, 70 our own fault (EX_SOFTWARE of sysexits). */
const statuses = { user: 1, usage: 2, bug: 70, interrupt: 130 } as const

/** Refusals of the operating system that a user can do something about. */
const systemHints: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space.',
  EDQUOT: 'Your disk quota is used up: free some space.',
  EACCES: 'Check who owns the file and its permissions.',
  EPERM: 'Check who owns the file and its permissions.',
  EROFS: 'The disk is read-only: choose another folder.',
  ENOENT: 'Check the path.',
  ENOTDIR: 'A part of the path is a file, not a folder.',
  EISDIR: 'This is a folder; a file is wanted.',
  EEXIST: 'Choose another name, or remove it first.',
  EMFILE: 'Too many open files: raise the limit (ulimit -n).',
  EIO: 'The disk reports a fault.',
  ECONNREFUSED: 'Nothing listens at that address.',
  ECONNRESET: 'The connection broke: try again.',
  ETIMEDOUT: 'The network did not answer: try again.',
  ENOTFOUND: 'The host name is unknown: check it and the network.',
}

/** Tells the user about an error, and scripts too with --json. Returns the exit status. */
export function reportFailure(
  error: unknown,
  world: Pick<World, 'stderr' | 'env' | 'json' | 'verbose' | 'emit' | 'signal' | 'dropProgress'>,
): number {
  world.dropProgress()
  if (world.signal.aborted) return interruptStatus(world.signal)
  // A key press that a command took for itself, as chat does at its prompt.
  if (error instanceof PlumblineError && error.code === 'INTERRUPTED') return statuses.interrupt
  const known = error instanceof PlumblineError ? error : fromSystem(error)
  const shown = known ?? bug(error)
  const color = createColor(wantsColor(world.env, world.stderr.isTerminal))
  world.stderr.write(`${color.red(`error[${shown.code}]:`)} ${printable(shown.message)}\n`)
  if (shown.hint !== undefined) world.stderr.write(`${color.cyan('hint:')} ${printable(shown.hint)}\n`)
  if (world.verbose) world.stderr.write(`${printable(trace(error))}\n`)
  if (world.json) world.emit({ error: { code: shown.code, message: shown.message, hint: shown.hint } })
  if (known === undefined) return statuses.bug
  return known.code.startsWith('USAGE_') ? statuses.usage : statuses.user
}

/** The status of a run that a signal stopped, also when the command put its things away and returned normally. */
export function interruptStatus(signal: AbortSignal): number {
  const cause = signal.reason instanceof PlumblineError ? (signal.reason.cause as { status?: number }) : undefined
  return cause?.status ?? statuses.interrupt
}

function fromSystem(error: unknown): PlumblineError | undefined {
  if (!(error instanceof Error)) return undefined
  const { code = '', syscall } = error as NodeJS.ErrnoException
  if (syscall === undefined || systemHints[code] === undefined) return undefined
  return new PlumblineError(code, `${error.message.replace(/^[A-Z]+: /, '')}.`, {
    hint: systemHints[code],
    cause: error,
  })
}

function bug(error: unknown): PlumblineError {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new PlumblineError('BUG', `this is a bug in Plumbline: ${message}`, {
    hint: 'Please report it with the command, what plumb env prints, and this message again with --verbose.',
    cause: error,
  })
}

/** The stack of an error and of each cause beneath it. */
function trace(error: unknown): string {
  const parts: string[] = []
  for (let current = error; current !== undefined && parts.length < 8; ) {
    parts.push(current instanceof Error ? (current.stack ?? current.message) : String(current))
    current = current instanceof Error ? current.cause : undefined
  }
  return parts.join('\ncaused by: ')
}
