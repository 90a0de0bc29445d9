import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PlumblineError } from '@plumbline/contracts'
import type { ChildReply, ChildRequest } from './child.ts'

export interface LocalModelOptions {
  /** A folder or a GGUF file. */
  readonly path: string
  /** What requests call the model. */
  readonly name: string
  /** Answers written at the same time. */
  readonly batchSize: number
  /** Answers that wait for a place, at most; past them a request is refused. */
  readonly maxWaiting: number
  readonly warn: (text: string) => void
  /** Gives up the start. */
  readonly signal: AbortSignal
}

/** A model served on this machine; for the gateway an upstream like any other. */
export interface LocalModel {
  readonly url: string
  readonly apiKey: string
  readonly contextLength: number
  stop(): Promise<void>
}

/** A process that died is started again after a second, then after twice as long each time, up to this. */
const longestPauseMs = 30_000
const stopPatienceMs = 5_000

/** Starts the process of a local model and keeps it there. Throws what the model's loading throws, LOCAL_MODEL_FAILED. */
export async function startLocalModel({ warn, signal, ...request }: LocalModelOptions): Promise<LocalModel> {
  const apiKey = randomBytes(32).toString('base64url')
  const stopping = new AbortController()
  const first = await startChild({ ...request, apiKey, port: 0 }, warn, signal)
  const { port, contextLength } = first
  let child = first.child

  const keepAlive = async () => {
    let pauseMs = 1_000
    for (;;) {
      await exitOf(child)
      if (stopping.signal.aborted) return
      warn(`The process of the local model has ended (${child.signalCode ?? child.exitCode}). It is started again.`)
      try {
        await sleep(pauseMs, undefined, { signal: stopping.signal })
        ;({ child } = await startChild({ ...request, apiKey, port }, warn, stopping.signal))
        pauseMs = 1_000
      } catch (error) {
        if (stopping.signal.aborted) return
        warn(`The local model does not start: ${(error as Error).message}`)
        pauseMs = Math.min(2 * pauseMs, longestPauseMs)
      }
    }
  }
  const kept = keepAlive()
  return {
    url: `http://127.0.0.1:${port}/v1`,
    apiKey,
    contextLength,
    stop: async () => {
      stopping.abort()
      await endChild(child)
      await kept
    },
  }
}

async function startChild(request: ChildRequest, warn: (text: string) => void, signal: AbortSignal) {
  // Run from source the process is TypeScript, published it is JavaScript.
  const file = new URL(`./child${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
  // What native libraries write must not get into the results on stdout.
  const child = fork(fileURLToPath(file), { stdio: ['ignore', 2, 2, 'ipc'], execArgv: [] })
  try {
    const ready = new Promise<{ port: number; contextLength: number }>((resolve, reject) => {
      const fail = (code: string, message: string, hint?: string) => reject(new PlumblineError(code, message, { hint }))
      child.on('message', (reply: ChildReply) => {
        if ('warning' in reply) warn(reply.warning)
        else if ('failure' in reply) fail(reply.failure.code, reply.failure.message, reply.failure.hint)
        else resolve(reply)
      })
      child.on('error', (error) => fail('LOCAL_MODEL_FAILED', `The local model does not start: ${error.message}.`))
      child.on('exit', (code, by) => {
        const hint = by === 'SIGKILL' ? 'There was not enough memory, perhaps: try a lower --batch-size.' : undefined
        fail('LOCAL_MODEL_FAILED', `The process of the local model ended with ${by ?? code} while it started.`, hint)
      })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      signal.throwIfAborted()
    })
    child.send(request)
    return { child, ...(await ready) }
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
