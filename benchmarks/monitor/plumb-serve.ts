import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rootFolder } from '../paths.ts'

export const adminKey = 'an-administrator-key-of-this-bench'

/** The real `plumb serve` on a folder, in a process of its own. */
export async function startServer(data: string) {
  const args = [join(rootFolder, 'packages/plumbline/bin/plumb.js'), 'serve', '--json', '--data', data, '--port', '0']
  const child = spawn(process.execPath, [...args, '--upstream', 'http://127.0.0.1:9/v1'], {
    env: { ...process.env, PLUMBLINE_ADMIN_KEY: adminKey },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const gone = new Promise<void>((done) => child.on('exit', () => done()))
  const [line] = (await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once('line', (text) => resolve([text]))),
    gone.then(() => []),
  ])) as string[]
  if (line === undefined) throw new Error('plumb serve has ended before it listened')
  const { port } = new URL((JSON.parse(line) as { url: string }).url)
  const stop = async () => {
    child.kill('SIGTERM')
    await gone
  }
  return { port: Number(port), pid: child.pid!, stop }
}
