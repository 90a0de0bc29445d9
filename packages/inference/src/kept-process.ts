import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PlumblineError } from '@plumbline/contracts'
import type { ChildWord } from './child-side.ts'

export interface KeepOptions<Request, Ready> {
  /** The file that it runs, beside this one, without its ending. */
  readonly file: string
  /** In messages, such as "local model". */
  readonly what: string
  /** Of a failure that has no code of its own. */
  readonly code: string
  /** What to do when the kernel killed it while it started. */
  readonly memoryHint: string
  /** What it is told; `first` is what the first one said when it was ready. */
  readonly request: (first: Ready | undefined) => Request
  /** Called with each process that is ready. */
  readonly onUp?: (child: ChildProcess) => void
  readonly onDown?: () => void
  /** What it says once it is ready. */
  readonly onWord?: (word: object) => void
  readonly warn: (text: string) => void
  /** Gives up the start. */
  readonly signal: AbortSignal
}

export interface KeptProcess<Ready> {
  /** What the first process said when it was ready. */
  readonly ready: Ready
  stop(): Promise<void>
}

/** A process that died is started again after a second, then after twice as long each time, up to this. */
const longestPauseMs = 30_000
const stopPatienceMs = 5_000

/** Starts a process and keeps it there. Throws the failure that the first one tells, or `code`. */
export async function keepProcess<Request extends object, Ready>(
  options: KeepOptions<Request, Ready>,
): Promise<KeptProcess<Ready>> {
  const { what, warn, request, onUp, onDown } = options
  const stopping = new AbortController()
  const first = await startChild(options, request(undefined), options.signal)
  let { child } = first
  onUp?.(child)

  const keepAlive = async () => {
    let pauseMs = 1_000
    for (;;) {
      await exitOf(child)
      onDown?.()
      if (stopping.signal.aborted) return
      warn(`The process of the ${what} has ended (${child.signalCode ?? child.exitCode}). It is started again.`)
      while (hasEnded(child)) {
        try {
          await sleep(pauseMs, undefined, { signal: stopping.signal })
          ;({ child } = await startChild(options, request(first.ready), stopping.signal))
          pauseMs = 1_000
          onUp?.(child)
        } catch (error) {
          if (stopping.signal.aborted) return
          warn(`The ${what} does not start: ${(error as Error).message}`)
          pauseMs = Math.min(2 * pauseMs, longestPauseMs)
        }
      }
    }
  }
  const kept = keepAlive()
  return {
    ready: first.ready,
    stop: async () => {
      stopping.abort()
      await endChild(child)
      await kept
    },
  }
}

async function startChild<Request extends object, Ready>(
  { file: name, what, code, memoryHint, warn, onWord }: KeepOptions<Request, Ready>,
  request: Request,
  signal: AbortSignal,
) {
  // Run from source the process is TypeScript, published it is JavaScript.
  const file = new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
  // What native libraries write must not get into the results on stdout.
  const child = fork(fileURLToPath(file), { stdio: ['ignore', 2, 2, 'ipc'], execArgv: [] })
  try {
    const ready = new Promise<Ready>((resolve, reject) => {
      const fail = (failed: string, message: string, hint?: string) =>
        reject(new PlumblineError(failed, message, { hint }))
      child.on('message', (word: ChildWord<Ready>) => {
        if ('warning' in word) warn(word.warning)
        else if ('failure' in word) fail(word.failure.code, word.failure.message, word.failure.hint)
        else if ('ready' in word) resolve(word.ready)
        else onWord?.(word)
      })
      child.on('error', (error) => fail(code, `The ${what} does not start: ${error.message}.`))
      child.on('exit', (status, by) => {
        const hint = by === 'SIGKILL' ? memoryHint : undefined
        fail(code, `The process of the ${what} ended with ${by ?? status} while it started.`, hint)
      })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      signal.throwIfAborted()
    })
    child.send(request)
    return { child, ready: await ready }
  } catch (error) {
    await endChild(child)
    throw error
  }
}

const hasEnded = ({ exitCode, signalCode, pid }: ChildProcess) =>
  pid === undefined || exitCode !== null || signalCode !== null

function exitOf(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

/** Lets go of it, which ends it; one that does not notice is killed. */
async function endChild(child: ChildProcess): Promise<void> {
  const exited = exitOf(child)
  if (child.connected) child.disconnect()
  const timer = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
  await exited
  clearTimeout(timer)
}
