import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { type ComputePool, createComputePool } from './compute-pool.ts'
import { globalNorm } from './gradients.ts'
import type { SharedFloats } from './kernels.ts'

const ones = (size: number): SharedFloats => new Float32Array(new SharedArrayBuffer(size * 4)).fill(1)

/** A worker that starts like ours and then does `action` with its first task, `failTask` and `task` at hand. */
function faultyWorker(action: string): URL {
  const source = `
    import { parentPort, workerData, receiveMessageOnPort } from 'node:worker_threads'
    import { failTask, PROGRESS } from '${new URL('./task.ts', import.meta.url)}'
    let task
    process.on('exit', () => task && failTask(task))
    parentPort.postMessage('ready')
    Atomics.wait(workerData.tasksPosted, 0, 0)
    task = receiveMessageOnPort(workerData.port).message
    Atomics.add(task.progress, PROGRESS.nextBlock, 1)
    ${action}`
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`)
}

/** Half a second of work, so that the worker wakes up in the middle of it even on a busy machine. */
function runLong(pool: ComputePool): void {
  const item = { operands: [ones(5_000_000)], scalars: [] }
  pool.run('zero', new Array(500).fill(item))
}

test('every thread takes its share', async () => {
  const pool = createComputePool({ threads: 3 })
  await pool.whenReady()
  const items = [{ operands: [ones(10_000_000)], scalars: [] }]
  const blocks = [0, 0, 0]
  for (let i = 0; i < 100 && blocks.includes(0); i++) {
    const { blocksByThread, partialSums } = pool.run('sumSquares', items)
    expect(blocksByThread.reduce((a, b) => a + b)).toBe(partialSums.length)
    for (let thread = 0; thread < 3; thread++) blocks[thread] += blocksByThread[thread]
  }
  expect(Math.min(...blocks)).toBeGreaterThan(0)
  await pool.dispose()
})

test('a pool works before its workers are up', async () => {
  const pool = createComputePool({ threads: 2 })
  expect(globalNorm(new Map([['w', ones(1_000_000)]]), pool)).toBe(1000)
  await pool.dispose()
})

test('idle workers sleep', async () => {
  const pool = createComputePool({ threads: 4 })
  await pool.whenReady()
  globalNorm(new Map([['w', ones(1_000_000)]]), pool)
  await new Promise((resolve) => setTimeout(resolve, 100)) // garbage collection and the like
  const before = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1000).toBeLessThan(150) // three spinning workers on two cores would burn 1,000 ms
  await pool.dispose()
})

test('a worker that ends in the middle of a run is an error, and so is every later run', async () => {
  const pool = createComputePool({ threads: 2, workerUrl: faultyWorker('process.exit(3)') })
  await pool.whenReady()
  const failure = expect.objectContaining({ code: 'WORKER_FAILED', hint: expect.stringContaining('checkpoint') })
  expect(() => runLong(pool)).toThrow(failure)
  expect(() => globalNorm(new Map(), pool)).toThrow(failure)
  await pool.dispose()
})

test('what a worker throws reaches the caller as the cause', async () => {
  const action = `workerData.port.postMessage(new RangeError('broken on purpose')); failTask(task)`
  const pool = createComputePool({ threads: 2, workerUrl: faultyWorker(action) })
  await pool.whenReady()
  expect(() => runLong(pool)).toThrow(
    expect.objectContaining({ message: expect.stringContaining('broken on purpose'), cause: expect.any(RangeError) }),
  )
  await pool.dispose()
})

test('a worker that hangs with a block in hand is an error after the stall timeout', async () => {
  const workerUrl = faultyWorker('Atomics.wait(task.progress, 2, 0)')
  const pool = createComputePool({ threads: 2, stallTimeoutMs: 200, workerUrl })
  await pool.whenReady()
  expect(() => runLong(pool)).toThrow(expect.objectContaining({ code: 'WORKER_FAILED' }))
  await pool.dispose()
})

test('a worker that cannot start is told by whenReady and by run', async () => {
  const pool = createComputePool({ threads: 2, workerUrl: new URL('./absent.ts', import.meta.url) })
  await expect(pool.whenReady()).rejects.toMatchObject({ code: 'WORKER_FAILED', cause: expect.any(Error) })
  expect(() => globalNorm(new Map(), pool)).toThrow('absent.ts')
})

test('a disposed pool refuses to run', async () => {
  const pool = createComputePool({ threads: 2 })
  await pool.dispose()
  expect(() => globalNorm(new Map(), pool)).toThrow(expect.objectContaining({ code: 'POOL_DISPOSED' }))
})

test('memory that is not shared is refused: a worker would write into a copy', async () => {
  const pool = createComputePool({ threads: 1 })
  const plain = new Float32Array(8) as unknown as SharedFloats
  expect(() => globalNorm(new Map([['w', plain]]), pool)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
  await pool.dispose()
})

test('a thread count that makes no sense is refused', () => {
  for (const threads of [0, -1, 1.5, Number.NaN, 1e9]) {
    expect(() => createComputePool({ threads })).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }))
  }
})

for (const [name, ending] of [
  ['with dispose', 'await pool.dispose()'],
  ['without dispose', ''],
  ['without dispose, workers just started', 'early'],
]) {
  test(`the process ends ${name}`, () => {
    const script = `
      import { createComputePool } from '${new URL('./compute-pool.ts', import.meta.url)}'
      const pool = createComputePool({ threads: 4 })
      ${ending === 'early' ? '' : 'await pool.whenReady()'}
      pool.run('zero', [{ operands: [new Float32Array(new SharedArrayBuffer(4e6))], scalars: [] }])
      ${ending === 'early' ? '' : ending}`
    const { status, signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
      encoding: 'utf8',
    })
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  })
}
