import { execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** The real process: what only it can show. */
const source = dirname(fileURLToPath(import.meta.url))
const bin = join(source, '..', 'bin', 'plumb.js')
const env = { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined }
const run = promisify(execFile)

function plumb(...args: string[]) {
  return run(process.execPath, [bin, ...args], { env })
}

test('--json writes JSON alone to stdout, nothing to stderr, and ends with 0', async () => {
  const { stdout, stderr } = await plumb('env', '--json')
  expect(JSON.parse(stdout)).toMatchObject({ node: process.versions.node, cores: expect.any(Number) })
  expect(stdout.trim().split('\n')).toHaveLength(1)
  expect(stderr).toBe('')
})

test.runIf(process.platform === 'linux')(
  'glibc is told to give a trainer’s memory back, unless the user says otherwise',
  async () => {
    const atEnd = "process.on('exit', () => console.log('threshold', process.env.MALLOC_MMAP_THRESHOLD_))"
    const NODE_OPTIONS = `--import=${JSON.stringify(`data:text/javascript,${encodeURIComponent(atEnd)}`)}`
    for (const [command, given, used] of [
      ['sft', undefined, '1048576'],
      ['sft', '7', '7'],
      ['env', undefined, 'undefined'],
    ] as const) {
      const options = { env: { ...env, NODE_OPTIONS, MALLOC_MMAP_THRESHOLD_: given } }
      const { stdout } = await run(process.execPath, [bin, '--quiet', command, '--help'], options)
      expect(stdout.match(/threshold .*/g)).toEqual([`threshold ${used}`])
    }
  },
)

test('an error ends with its status; off a terminal nothing has control codes', async () => {
  const failed = await plumb('env', '--bogus').catch((error) => error)
  expect(failed).toMatchObject({ code: 2, stdout: '' })
  expect(failed.stderr).toBe(
    'error[USAGE_UNKNOWN_FLAG]: There is no flag --bogus.\nhint: See --help for the flags of this command.\n',
  )
  const forced = await run(process.execPath, [bin, 'env', '--bogus'], { env: { ...env, FORCE_COLOR: '1' } }).catch(
    (error) => error,
  )
  expect(forced.stderr).toContain('\u001b[31m')
  const plain = await run(process.execPath, [bin, 'env', '--bogus'], {
    env: { ...env, FORCE_COLOR: '1', NO_COLOR: '1' },
  }).catch((error) => error)
  expect(plain.stderr).toContain('hint:')
  expect(plain.stderr).not.toContain('\u001b')
})

/** Runs a module against the real world in a child; `stdout` closed early when asked. */
function runScript(script: string, closeEarly = false) {
  const world = pathToFileURL(join(source, 'world.ts')).href
  const globals = '{ help: false, version: false, json: false, quiet: false, verbose: false }'
  const code = `import { createWorld, exitProcess } from ${JSON.stringify(world)}; const world = createWorld(${globals}); ${script}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { env })
  let stderr = ''
  let stdout = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  child.stdout.on('data', (chunk) => {
    stdout += chunk
    if (closeEarly) child.stdout.destroy()
  })
  const ended = new Promise<{ code: number | null; stderr: string; stdout: string }>((resolve) => {
    child.on('close', (status) => resolve({ code: status, stderr, stdout }))
  })
  const ready = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
  return { child, ended, ready }
}

test('a reader that goes away ends the command quietly', async () => {
  const { ended } = runScript(`setInterval(() => world.stdout.write('x'.repeat(100_000)), 1)`, true)
  expect(await ended).toMatchObject({ code: 0, stderr: '' })
})

const full = '/dev/full'

test.skipIf(!existsSync(full))('a full disk behind stdout is told once and ends with 1', async () => {
  const file = openSync(full, 'w')
  const child = spawn(process.execPath, [bin, 'env'], { env, stdio: ['ignore', file, 'pipe'] })
  closeSync(file)
  let stderr = ''
  child.stderr!.on('data', (chunk) => {
    stderr += chunk
  })
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1)
  expect(stderr).toMatch(/^error\[ENOSPC\]: cannot write to stdout: .*\n$/)
})

test('all that was written arrives before the process ends, whatever it left running', async () => {
  const { ended } = runScript(
    `setInterval(() => {}, 1000); world.stdout.write('x'.repeat(5_000_000)); await exitProcess(3)`,
  )
  const { code, stdout } = await ended
  expect(code).toBe(3)
  expect(stdout).toHaveLength(5_000_000)
})

test('the first interrupt lets the command put its things away, the second ends it at once', async () => {
  const polite = runScript(
    `world.signal.onabort = () => exitProcess(9); setInterval(() => {}, 1000); world.stdout.write('up')`,
  )
  await polite.ready
  polite.child.kill('SIGINT')
  expect((await polite.ended).code).toBe(9)

  const deaf = runScript(
    `setInterval(() => {}, 1000); world.signal.onabort = () => world.stdout.write('hm'); world.stdout.write('up')`,
  )
  await deaf.ready
  deaf.child.kill('SIGINT')
  await new Promise((resolve) => deaf.child.stdout.once('data', resolve))
  // Within 100 ms it would count as the same key press.
  await new Promise((resolve) => setTimeout(resolve, 200))
  deaf.child.kill('SIGINT')
  expect((await deaf.ended).code).toBe(130)
})

test('the overview reads no heavy library', async () => {
  const script = `
    import { registerHooks } from 'node:module'
    const seen = []
    registerHooks({ resolve: (name, context, next) => (seen.push(name), next(name, context)) })
    process.argv[2] = '--help'
    process.on('exit', () => process.stderr.write(JSON.stringify(seen)))
    await import(${JSON.stringify(pathToFileURL(join(source, 'main.ts')).href)})`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script, '--'], { env })
  expect(stdout).toContain('Commands')
  const seen: string[] = JSON.parse(stderr)
  expect(seen).toContain('zod')
  expect(seen.filter((name) => /onnxruntime|^@huggingface|^@plumbline\/(engine|models)$/.test(name))).toEqual([])
})

const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path))
const oldVersion = oldNode === undefined ? '' : (await run(oldNode, ['--version'])).stdout
const isOlder = oldVersion !== '' && Number.parseInt(oldVersion.slice(1), 10) < 24

test.skipIf(!isOlder)('an older Node hands over to the one that npm installed', async () => {
  const { stdout } = await run(oldNode!, [bin, 'env', '--json'], { env })
  expect(Number.parseInt(JSON.parse(stdout).node, 10)).toBeGreaterThanOrEqual(24)
  expect(await run(oldNode!, [bin, 'nothing'], { env }).catch((error) => error.code)).toBe(2)
})

test.skipIf(!isOlder)('the launcher passes signals and statuses on', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'plumb-launch-'))
  await mkdir(join(folder, 'node_modules', '.bin'), { recursive: true })
  await mkdir(join(folder, 'plumb', 'bin'), { recursive: true })
  await mkdir(join(folder, 'plumb', 'src'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await symlink(process.execPath, join(folder, 'node_modules', '.bin', 'node'))
  await copyFile(bin, join(folder, 'plumb', 'bin', 'plumb.js'))
  const main = `process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); process.stdout.write('up')`
  await writeFile(join(folder, 'plumb', 'src', 'main.ts'), main)
  for (const [signal, expected] of [
    ['SIGTERM', 7],
    ['SIGINT', 130],
  ] as const) {
    const child = spawn(oldNode!, [join(folder, 'plumb', 'bin', 'plumb.js')], { env })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill(signal)
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(expected)
  }
  await rm(folder, { recursive: true })
})

test.skipIf(!isOlder)('an older Node without one says so in a line', async () => {
  const failed = await run(oldNode!, [bin, 'env'], { env: { ...env, PLUMBLINE_NODE: 'none' } }).catch((error) => error)
  expect(failed.code).toBe(1)
  expect(failed.stderr).toMatch(/^error\[NODE_VERSION\]: .*Run npm ci.*\n$/)
})
