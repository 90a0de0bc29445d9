/** Portkey's gateway from npm, in a folder of its own: a peer of the bench, no dependency of ours. */
import { execFile, spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { PlumblineError } from '@plumbline/contracts'
import { benchFolder } from '../paths.ts'
import type { Target } from './traffic.ts'

const version = '1.15.2'
export const portkeyName = `@portkey-ai/gateway ${version}`

export interface Portkey {
  readonly target: Target
  readonly pid: number
  stop(): Promise<void>
}

async function install(log: (text: string) => void): Promise<string> {
  const folder = join(benchFolder, 'portkey')
  const home = join(folder, 'node_modules/@portkey-ai/gateway')
  const installed = await readFile(join(home, 'package.json'), 'utf8').catch(() => '{}')
  const server = join(home, 'build/start-server.js')
  if (JSON.parse(installed).version === version) return server
  log(`fetching ${portkeyName} into ${folder}; this happens once`)
  await mkdir(folder, { recursive: true })
  // Without a package.json of its own, npm would install into the checkout around it.
  await writeFile(join(folder, 'package.json'), '{ "private": true }\n')
  const args = [
    'install',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    '--omit=dev',
    `@portkey-ai/gateway@${version}`,
  ]
  await promisify(execFile)('npm', args, { cwd: folder, shell: process.platform === 'win32' }).catch((cause) => {
    throw new PlumblineError('PEER_MISSING', `${portkeyName} cannot be fetched: ${cause.message}`, {
      hint: 'The bench needs an npm registry the first time.',
      cause,
    })
  })
  return server
}

/** Starts it in front of an upstream, as its README says for a server of one's own. Throws PEER_MISSING. */
export async function startPortkey(upstream: string, log: (text: string) => void): Promise<Portkey> {
  const server = await install(log)
  const port = await freePort()
  const env = { ...process.env, NODE_ENV: 'production' }
  // Its log is a line a request: it goes nowhere, as ours has none.
  const child = spawn(process.execPath, [server, `--port=${port}`, '--headless'], { env, stdio: 'ignore' })
  const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  const origin = `http://127.0.0.1:${port}`
  for (let tries = 0; !(await fetch(origin).catch(() => undefined))?.ok; tries++) {
    if (tries === 300) throw new PlumblineError('PEER_MISSING', `${portkeyName} does not listen after 30 s.`)
    await sleep(100)
  }
  return {
    target: {
      origin,
      headers: {
        authorization: 'Bearer key',
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `${upstream}/v1`,
      },
    },
    pid: child.pid!,
    stop: async () => {
      child.kill()
      await exited
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
