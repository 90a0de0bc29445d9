import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { testHome } from './smollm2.ts'

const execute = promisify(execFile)
const requirements = fileURLToPath(new URL('./requirements.txt', import.meta.url))
const isWindows = process.platform === 'win32'
const ownPython = isWindows ? 'python' : 'python3'

/**
 * A Python that has the packages of requirements.txt, in an environment that is kept for the next run; or why there is
 * none here: no python3, no venv, no pip that is new enough (22.3), no index.
 */
export async function findPythonClient(): Promise<{ python: string } | { absent: string }> {
  try {
    const wanted = createHash('sha256').update(await readFile(requirements))
    const { stdout: version } = await execute(ownPython, ['--version'])
    const folder = join(testHome, `python-${wanted.update(version).digest('hex').slice(0, 16)}`)
    if (!(await hasPackages(folder))) await make(folder)
    return { python: pythonOf(folder) }
  } catch (error) {
    return { absent: reason(error) }
  }
}

const pythonOf = (folder: string) => (isWindows ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python'))

function hasPackages(folder: string): Promise<boolean> {
  return execute(pythonOf(folder), ['-c', 'import importlib.util as i; assert i.find_spec("openai")']).then(
    () => true,
    () => false,
  )
}

/** Beside its place first: what has its name is whole, and two test runs at once do not meet. */
async function make(folder: string): Promise<void> {
  const staged = `${folder}.${process.pid}`
  try {
    await mkdir(testHome, { recursive: true })
    // The host's pip fills it: a pip of its own would take longer than all the rest.
    await execute(ownPython, ['-m', 'venv', '--without-pip', staged])
    const pip = ['-m', 'pip', '--python', pythonOf(staged), 'install', '--no-input', '--disable-pip-version-check']
    const quick = ['--quiet', '--no-compile', '--only-binary=:all:', '--retries', '1', '--require-hashes']
    await execute(ownPython, [...pip, ...quick, '-r', requirements], { timeout: 120_000 })
    await rename(staged, folder).catch(async (error) => {
      if (await hasPackages(folder)) return
      await rm(folder, { recursive: true, force: true })
      await rename(staged, folder).catch(() => Promise.reject(error))
    })
  } finally {
    await rm(staged, { recursive: true, force: true })
  }
}

/** What pip or Python said last, or why they did not start. */
function reason(error: unknown): string {
  const said = (error as { stderr?: string }).stderr?.trim()
  return said?.split('\n').at(-1) || String(error).split('\n')[0]
}
