import { spawn } from 'node:child_process'
import { resolve } from 'node:path'

const bin = resolve(import.meta.dirname, '../../packages/plumbline/bin/plumb.js')

/** The real command in a process of its own. Resolves when it has written its first line, or has ended. */
export async function startPlumb(args: readonly string[], env: NodeJS.ProcessEnv) {
  const started = spawn(process.execPath, ['--liftoff-only', bin, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  started.stderr.on('data', (chunk) => {
    err += chunk
  })
  const exited = new Promise<number | null>((done) => started.on('exit', (code) => done(code)))
  const ready = new Promise<void>((done) => {
    started.stdout.on('data', (chunk) => {
      out += chunk
      if (out.includes('\n')) done()
    })
  })
  await Promise.race([ready, exited])
  return { process: started, exited, stdout: () => out, stderr: () => err }
}
