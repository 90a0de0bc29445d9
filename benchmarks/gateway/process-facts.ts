import { readdirSync, readFileSync } from 'node:fs'

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

/** A process or a thread that ends meanwhile has nothing, and no children. */
function childrenOf(pid: number): number[] {
  const threads = read(`/proc/${pid}/stat`) === '' ? [] : readdirSync(`/proc/${pid}/task`)
  const lists = threads.map((thread) => read(`/proc/${pid}/task/${thread}/children`))
  return lists.join(' ').split(/\s+/).filter(Boolean).map(Number)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
