import { readFileSync } from 'node:fs'
import { readProcesses } from '../trainers/process-tree.ts'

/** Ticks a second of /proc's clock: 100 on every Linux that Node runs on. */
const ticks = 100

/** Seconds of CPU that a process has used, and those that it has started and that run; undefined where there is no /proc. */
export function cpuSeconds(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined
  const stat = read(`/proc/${pid}/stat`)
  // Past the name, which may hold anything: utime and stime are the 14th and 15th fields of the line.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const own = (Number(fields[11]) + Number(fields[12])) / ticks
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child)!, own || 0)
}

/** Resident memory of a process and those that it has started, what they share counted for each. Linux alone. */
export function residentBytes(pid: number): number {
  const own = Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
  return childrenOf(pid).reduce((sum, child) => sum + residentBytes(child), own)
}

function childrenOf(pid: number): number[] {
  return readProcesses().flatMap((one) => (one.parent === pid ? [one.pid] : []))
}

/** Nothing of a process that ends meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
