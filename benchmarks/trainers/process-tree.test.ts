import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { parseStatus, readProcesses, treePeakBytes } from './process-tree.ts'

test('status as the kernel writes it; a process that ended has no memory', () => {
  const running =
    'Name:\tnode\nUmask:\t0022\nPid:\t12\nPPid:\t7\nTracerPid:\t0\nVmPeak:\t  9000 kB\nVmHWM:\t  2000 kB\n'
  expect(parseStatus(running)).toEqual({ pid: 12, parent: 7, peakBytes: 2_048_000 })
  expect(parseStatus('Name:\tsh\nState:\tZ (zombie)\nPid:\t13\nPPid:\t12\n')).toMatchObject({ peakBytes: 0 })
})

test('the tree is the root, its children and theirs, and nobody else', () => {
  const process = (pid: number, parent: number, peakBytes: number) => ({ pid, parent, peakBytes })
  const processes = [
    process(1, 0, 1),
    process(5, 1, 10),
    process(6, 5, 100),
    process(7, 6, 1000),
    process(8, 1, 10_000),
  ]
  expect(treePeakBytes(processes, 5)).toBe(1110)
  expect(treePeakBytes(processes, 99)).toBe(0)
})

test.runIf(process.platform === 'linux')('a grandchild that holds 200 MB is seen', async () => {
  const hold = 'process.stdout.write(String(Buffer.alloc(200e6, 1).length)); setTimeout(() => {}, 60_000)'
  const child = spawn('sh', ['-c', `"${process.execPath}" -e '${hold}'; true`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await once(child.stdout, 'data')
    expect(treePeakBytes(readProcesses(), child.pid!)).toBeGreaterThan(200e6)
  } finally {
    const grandchild = readProcesses().find(({ parent }) => parent === child.pid)
    if (grandchild) process.kill(grandchild.pid)
    child.kill()
  }
})
