import { writeSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { Globals } from './flags.ts'
import { createProgress, type Drawing, type Progress, type ProgressOptions } from './progress.ts'
import { type Color, createColor, printable, wantsColor } from './terminal-text.ts'

/** A place to write text to. */
export interface Output {
  readonly isTerminal: boolean
  readonly columns: number
  write(text: string): void
}

/** Notes for the person at the keyboard, on stderr. */
export interface Log {
  /** Not with --quiet. */
  info(text: string, style?: 'dim'): void
  warn(text: string): void
  /** Only with --verbose. */
  debug(text: string): void
}

/** Everything a command may touch outside its arguments; built in this file and nowhere else. */
export interface World {
  /** Results for a person. With --json this goes to stderr: only `emit` reaches stdout then. */
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: NodeJS.ReadableStream & AsyncIterable<Uint8Array>
  /** One result as a JSON line on stdout. Call it only when `json` is set. */
  emit(value: unknown): void
  readonly log: Log
  progress(title: string, total: number | undefined, options: ProgressOptions): Progress
  /** Takes away the bars of work that will not go on. */
  dropProgress(): void
  /** Styles for `stdout`. */
  readonly color: Color
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Bytes of memory that this process may still take. */
  readonly availableMemory: () => number
  readonly env: Readonly<Record<string, string | undefined>>
  /** Folder of models and other things that can be fetched again: PLUMBLINE_HOME or ~/.cache/plumbline. */
  readonly home: string
  readonly cwd: string
  /** Aborted by the first SIGINT or SIGTERM, with an `INTERRUPTED` error as its reason. */
  readonly signal: AbortSignal
  /** From now on SIGHUP does this, and no longer ends the process. */
  onHangup(listener: () => void): void
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

/** Exit status of a process that a signal ended, as shells count it. */
const statusOfSignal = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * A launcher passes Ctrl-C on while the terminal sends it to the whole group: the same key press may come twice.
 */
const sameKeyPressMs = 100

/** What differs between a process and a test. */
export interface Surroundings {
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: World['stdin']
  readonly now: () => number
  readonly availableMemory: () => number
  readonly env: World['env']
  readonly userFolder: string
  readonly cwd: string
  readonly signal: AbortSignal
  readonly onHangup: World['onHangup']
}

/** The world of this process: real streams, clock, environment, signals. */
export function createWorld(globals: Globals): World {
  endOnStreamErrors()
  const world: World = assembleWorld(globals, {
    stdout: createOutput(process.stdout),
    stderr: createOutput(process.stderr),
    stdin: process.stdin,
    now: Date.now,
    // Knows the limits of a container, which os.freemem does not.
    availableMemory: () => process.availableMemory(),
    env: process.env,
    userFolder: homedir(),
    cwd: process.cwd(),
    signal: signalOf((text) => world.log.info(text)),
    onHangup: (listener) => void process.on('SIGHUP', listener),
  })
  return world
}

/** Who may write what where: --json keeps stdout for `emit`, --quiet keeps notes and progress away. */
export function assembleWorld({ json, quiet, verbose }: Globals, around: Surroundings): World {
  const { env, now } = around
  const bars = new Set<Drawing>()
  const stderr = besideBars(around.stderr, around.stderr, bars)
  const results = besideBars(around.stdout, around.stderr, bars)
  const stdout = json ? (quiet ? silent : stderr) : results
  const errorColor = createColor(wantsColor(env, stderr.isTerminal))
  const line = (text: string) => stderr.write(`${printable(text)}\n`)
  return {
    stdout,
    stderr,
    stdin: around.stdin,
    emit: (value) => results.write(`${jsonLine(value)}\n`),
    log: {
      // Styled after control characters are shown, or our own would be among them.
      info: (text, style) => {
        if (!quiet) stderr.write(`${style === undefined ? printable(text) : errorColor[style](printable(text))}\n`)
      },
      warn: (text) => stderr.write(`${errorColor.yellow('warning:')} ${printable(text)}\n`),
      debug: (text) => verbose && line(text),
    },
    progress: (title, total, options) => {
      const target = { ...(quiet ? silent : around.stderr), now }
      const bar = createProgress(printable(title), total, options, target)
      bars.add(bar)
      const end = () => {
        bar.end()
        bars.delete(bar)
      }
      return { set: bar.set, advance: bar.advance, end }
    },
    dropProgress: () => {
      for (const bar of bars) bar.clear()
      bars.clear()
    },
    color: createColor(!json && wantsColor(env, stdout.isTerminal)),
    now,
    availableMemory: around.availableMemory,
    env,
    home: resolve(around.cwd, env.PLUMBLINE_HOME || join(around.userFolder, '.cache', 'plumbline')),
    cwd: around.cwd,
    signal: around.signal,
    onHangup: around.onHangup,
    json,
    quiet,
    verbose,
  }
}

/**
 * JSON in one line for every reader: JSON itself allows control characters past ASCII, which steer terminals, and
 * Unicode's line ends, at which some readers cut.
 */
function jsonLine(value: unknown): string {
  return JSON.stringify(value)?.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/**
 * An output that takes the bars off their terminal before it writes there, and puts them back after a whole line. In
 * the middle of a line a bar waits for its next turn.
 */
function besideBars(output: Output, { isTerminal }: Output, bars: ReadonlySet<Drawing>): Output {
  if (!output.isTerminal || !isTerminal) return output
  return {
    ...output,
    write: (text) => {
      for (const bar of bars) bar.clear()
      output.write(text)
      if (text.endsWith('\n')) for (const bar of bars) bar.redraw()
    },
  }
}

const silent: Output = { isTerminal: false, columns: 80, write: () => {} }

function createOutput(stream: NodeJS.WriteStream): Output {
  return {
    isTerminal: stream.isTTY === true && process.env.TERM !== 'dumb',
    // Read once: a bar that is cut a little early or late after a resize harms nobody.
    columns: stream.columns || 80,
    write: (text) => stream.write(text),
  }
}

/**
 * `plumb … | head`: the reader has what it wanted, so this is no failure. Any other refusal (a full disk) ends the
 * process at once: telling of it through the streams would fail again, for ever when stderr is the same disk.
 */
function endOnStreamErrors(): void {
  for (const [name, stream] of [
    ['stdout', process.stdout],
    ['stderr', process.stderr],
  ] as const) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      try {
        writeSync(process.stderr.fd, `error[${error.code}]: cannot write to ${name}: ${error.message}.\n`)
      } catch {
        // stderr is gone too: the exit status is all that is left.
      }
      process.exit(1)
    })
  }
}

function signalOf(say: (text: string) => void): AbortSignal {
  const controller = new AbortController()
  let firstAt = 0
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!controller.signal.aborted) {
        firstAt = Date.now()
        say(name === 'SIGINT' ? 'Stopping. Ctrl-C again stops at once.' : 'Stopping.')
        controller.abort(
          new PlumblineError('INTERRUPTED', `Stopped by ${name}.`, { cause: { status: statusOfSignal[name] } }),
        )
      } else if (name === 'SIGINT' && Date.now() - firstAt > sameKeyPressMs) {
        process.exit(statusOfSignal.SIGINT)
      }
    })
  }
  return controller.signal
}

/** Lets what was written reach its reader, then ends the process whatever threads or sockets a command left behind. */
export async function exitProcess(status: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((done) => stream.write('', () => done()))
  }
  process.exit(status)
}
