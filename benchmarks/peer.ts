/** The Python side: an environment of its own and a process that is kept alive, so that both sides are warm. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { PlumblineError } from '@plumbline/contracts'
import { benchFolder } from './paths.ts'

/** A Python process that answers JSON lines. One call at a time. */
export interface Peer {
  /** For example `torch 2.15.0`. */
  readonly torch: string
  readonly transformers: string
  /** Throws PEER_FAILED with Python's words. */
  call<Answer>(op: string, request?: Readonly<Record<string, unknown>>): Promise<Answer>
  close(): void
}

const requirements = fileURLToPath(new URL('./requirements.txt', import.meta.url))
const server = fileURLToPath(new URL('./torch_peer.py', import.meta.url))

/**
 * A Python that has the peers: PLUMBLINE_BENCH_PYTHON, or an environment made from requirements.txt by the user's own
 * python3 and pip. Throws PEER_MISSING.
 */
export async function findPeerPython(log: (text: string) => void): Promise<string> {
  const python = process.env.PLUMBLINE_BENCH_PYTHON || (await ownPython(log))
  await execute(python, ['-c', 'import torch, transformers'])
  return python
}

async function ownPython(log: (text: string) => void): Promise<string> {
  const venv = join(benchFolder, 'venv')
  const python = process.platform === 'win32' ? join(venv, 'Scripts', 'python.exe') : join(venv, 'bin', 'python')
  // Written last: an environment without it was not finished, or was made from other requirements.
  const marker = join(venv, 'requirements.txt')
  const wanted = await readFile(requirements, 'utf8')
  if ((await readFile(marker, 'utf8').catch(() => undefined)) === wanted) return python
  log(`making ${venv} from benchmarks/requirements.txt; torch is large, this happens once`)
  await rm(venv, { recursive: true, force: true })
  await mkdir(benchFolder, { recursive: true })
  await execute(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', venv])
  await execute(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements])
  await writeFile(marker, wanted)
  return python
}

async function execute(command: string, args: readonly string[]): Promise<void> {
  const line = [command, ...args].join(' ')
  // pip's and venv's own words go to stderr: stdout is for figures alone.
  const child = spawn(command, args, { stdio: ['ignore', 2, 2] })
  const ending = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(code === 0 ? undefined : `status ${code ?? signal}`))
  })
  if (ending === undefined) return
  throw new PlumblineError('PEER_MISSING', `"${line}" failed: ${ending}.`, {
    hint: 'Install Python 3 with venv and pip, or name a Python that has the peers in PLUMBLINE_BENCH_PYTHON.',
  })
}

/** Starts the line server. Throws PEER_MISSING when it does not come up. */
export async function startPeer(python: string, threads: number): Promise<Peer> {
  const child = spawn(python, [server], { stdio: ['pipe', 'pipe', 'inherit'] })
  const call = lineCalls(child)
  const versions = await call<{ torch: string; transformers: string }>('hello', { threads }).catch((cause) => {
    throw new PlumblineError('PEER_MISSING', `${python} cannot be the peer: ${cause.message}`, {
      hint: 'It needs the packages of benchmarks/requirements.txt.',
      cause,
    })
  })
  return { ...versions, call, close: () => child.kill() }
}

/** One request line, one answer line. */
function lineCalls(child: ChildProcessWithoutNullStreams | ReturnType<typeof spawn>): Peer['call'] {
  const { stdin, stdout } = child as ChildProcessWithoutNullStreams
  let waiting: { resolve: (answer: never) => void; reject: (error: Error) => void } | undefined
  const fail = (why: string) => waiting?.reject(new PlumblineError('PEER_FAILED', `the peer ${why}.`))
  child.on('error', (error) => fail(`does not start: ${error.message}`))
  child.on('exit', (code, signal) => fail(`ended with ${code ?? signal}`))
  stdin.on('error', () => fail('does not listen'))
  createInterface({ input: stdout }).on('line', (line) => {
    const answer = JSON.parse(line)
    if (answer.error === undefined) waiting?.resolve(answer as never)
    else fail(`says ${answer.error}`)
  })
  return (op, request = {}) =>
    new Promise((resolve, reject) => {
      waiting = { resolve, reject }
      if (child.exitCode !== null || child.signalCode !== null) fail('is gone')
      else stdin.write(`${JSON.stringify({ op, ...request })}\n`)
    })
}
