import { readFileSync } from 'node:fs'

/** Most resident memory of this process. Linux' maxRSS of a child begins with what its parent had when it forked. */
export function peakBytes(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024
}
