import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readEvents } from './event-file.test-support.ts'
import { openRunFolder } from './run-folder.ts'
import { runOptions } from './training-loop.test-support.ts'

const program = join(import.meta.dirname, 'training-loop.test-support.ts')

let base: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'plumbline-kill-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

function start(args: readonly (string | number)[]): ChildProcess {
  return spawn(process.execPath, [program, ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function contentOf(folder: string) {
  const [events, ...others] = await readdir(join(folder, 'tensorboard'))
  expect(others).toEqual([])
  const checkpoints = (await readdir(join(folder, 'checkpoints'))).sort()
  const newest = join(folder, 'checkpoints', checkpoints.at(-1)!)
  return {
    checkpoints,
    names: (await readdir(folder)).sort(),
    metrics: await readFile(join(folder, 'metrics.jsonl'), 'utf8'),
    samples: await readFile(join(folder, 'samples.jsonl'), 'utf8'),
    events: readEvents(await readFile(join(folder, 'tensorboard', events))),
    arrays: (await readFile(join(newest, 'arrays.safetensors'))).toString('base64'),
  }
}

test('killed at any moment, a run ends as if it never was', async () => {
  const steps = 160
  const loop = [steps, 2, 40_000]
  const straight = join(base, 'straight')
  await once(start([straight, ...loop]), 'close')
  const killed = join(base, 'killed')
  let kills = 0
  for (;;) {
    const child = start([killed, ...loop])
    const ended = once(child, 'close')
    await Promise.race([once(child.stdout!, 'data'), ended])
    if (kills < 8) {
      // Some die between two checkpoints, some inside one.
      await Promise.race([sleep(Math.random() * 120), ended])
      if (child.exitCode === null) kills += Number(child.kill('SIGKILL'))
    }
    await ended
    if (child.exitCode === 0) break
  }
  expect(kills).toBeGreaterThan(3)
  expect(await contentOf(killed)).toEqual(await contentOf(straight))
}, 120_000)

/** Starts the loop and returns the error that it ended with. */
async function failureOf(child: ChildProcess): Promise<{ code: string; message: string; hint: string }> {
  let said = ''
  child.stdout!.on('data', (text) => {
    said += text
  })
  await once(child, 'close')
  expect(child.exitCode).toBe(1)
  return JSON.parse(said.trim().split('\n').at(-1)!)
}

test('a full disk in a checkpoint leaves the older ones, and the run resumes', async (context) => {
  const disk = join(base, 'disk')
  await mkdir(disk)
  const mount = (options: string) => spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status
  if (mount('size=3m') !== 0) return context.skip('a small file system of its own needs root')
  try {
    const loop = [12, 2, 200_000]
    const failure = await failureOf(start([join(disk, 'run'), ...loop]))
    expect(failure).toMatchObject({ code: 'CHECKPOINT_FAILED', hint: expect.stringContaining('The one of step 4') })
    expect(failure.message).toMatch(
      /step 6 .* the disk or quota is full, .*needed \(\d+ bytes\), .*\(\d+ bytes\) are free/,
    )
    expect((await readdir(join(disk, 'run', 'checkpoints'))).sort()).toEqual(['step-00000002', 'step-00000004'])
    expect(JSON.parse(await readFile(join(disk, 'run', 'run.json'), 'utf8'))).toMatchObject({
      status: 'failed',
      step: 4,
    })
    mount('remount,size=20m')
    await once(start([join(disk, 'run'), ...loop]), 'close')
    await once(start([join(base, 'straight'), ...loop]), 'close')
    expect(await contentOf(join(disk, 'run'))).toEqual(await contentOf(join(base, 'straight')))
  } finally {
    spawnSync('umount', [disk])
  }
}, 60_000)

test('a write that fails half way leaves the older checkpoints and no draft', async () => {
  if (process.platform === 'win32') return
  const folder = join(base, 'run')
  await once(start([folder, 4, 2, 200_000]), 'close')
  const more = [process.execPath, program, folder, '8', '2', '200000']
  // 500 kB a file: less than the arrays take, more than the rest.
  const limited = ['-c', 'trap "" XFSZ; ulimit -f 500; exec "$0" "$@"', ...more]
  await reopen(folder)
  const failure = await failureOf(spawn('bash', limited, { stdio: ['ignore', 'pipe', 'inherit'] }))
  expect(failure).toMatchObject({ code: 'CHECKPOINT_FAILED', message: expect.stringContaining('size of a file') })
  expect((await readdir(join(folder, 'checkpoints'))).sort()).toEqual(['step-00000002', 'step-00000004'])
}, 60_000)

/** A finished run goes on when it is to go further; the program's own configuration never changes. */
async function reopen(folder: string): Promise<void> {
  const path = join(folder, 'run.json')
  const record = JSON.parse(await readFile(path, 'utf8'))
  await writeFile(path, JSON.stringify({ ...record, status: 'interrupted' }))
}

test('stopped by SIGINT, a run goes on where it was', async () => {
  const loop = [200, 4, 40_000]
  const folder = join(base, 'stopped')
  const child = start([folder, ...loop])
  await once(child.stdout!, 'data')
  child.kill('SIGINT')
  expect((await failureOf(child)).code).toBe('INTERRUPTED')
  const { status, step } = JSON.parse(await readFile(join(folder, 'run.json'), 'utf8'))
  expect(status).toBe('interrupted')
  expect(step).toBeLessThan(200)
  await once(start([folder, ...loop]), 'close')
  await once(start([join(base, 'straight'), ...loop]), 'close')
  expect(await contentOf(folder)).toEqual(await contentOf(join(base, 'straight')))
}, 60_000)

test('a process that lives keeps its folder, and one that was killed gives it up', async () => {
  const folder = join(base, 'run')
  const child = start([folder, 1e9, 1000, 10])
  await once(child.stdout!, 'data')
  await expect(openRunFolder(folder, runOptions())).rejects.toMatchObject({
    code: 'RUN_IN_USE',
    message: expect.stringContaining(`process ${child.pid}`),
  })
  child.kill('SIGKILL')
  await once(child, 'close')
  await (await openRunFolder(folder, runOptions())).close()
})
