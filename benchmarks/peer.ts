/** The Python side: an environment of its own and a process that is kept alive, so that both sides are warm. */
import { spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PlumblineError } from '@plumbline/contracts'
import { type LineProcess, startLineProcess } from './line-process.ts'
import { benchFolder } from './paths.ts'

/** A Python process that answers JSON lines. */
export interface Peer extends LineProcess {
  /** For example `torch 2.15.0`. */
  readonly torch: string
  readonly transformers: string
  /** Of trl_peer.py alone. */
  readonly trl?: string
}

const requirements = fileURLToPath(new URL('./requirements.txt', import.meta.url))

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

/** Starts a line server of this folder. Throws PEER_MISSING when it does not come up. */
export async function startPeer(
  python: string,
  threads: number,
  server: 'torch_peer.py' | 'trl_peer.py' = 'torch_peer.py',
): Promise<Peer> {
  const line = startLineProcess(python, [fileURLToPath(new URL(`./${server}`, import.meta.url))])
  const versions = await line
    .call<Pick<Peer, 'torch' | 'transformers' | 'trl'>>('hello', { threads })
    .catch((cause) => {
      throw new PlumblineError('PEER_MISSING', `${python} cannot be the peer: ${cause.message}`, {
        hint: 'It needs the packages of benchmarks/requirements.txt.',
        cause,
      })
    })
  return { ...versions, ...line }
}
