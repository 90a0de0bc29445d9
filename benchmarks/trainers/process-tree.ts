/** Memory of a process and all that it starts, from Linux' /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface ProcessStatus {
  readonly pid: number
  readonly parent: number
  /** Most resident memory since its start; 0 of one that has ended. */
  readonly peakBytes: number
}

export function parseStatus(text: string): ProcessStatus {
  const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { pid: number('Pid'), parent: number('PPid'), peakBytes: number('VmHWM') * 1024 }
}

/** Peaks of the root and its descendants, added. */
export function treePeakBytes(processes: readonly ProcessStatus[], root: number): number {
  const children = Map.groupBy(processes, ({ parent }) => parent)
  const sumOf = (pid: number): number =>
    (children.get(pid) ?? []).reduce((sum, child) => sum + child.peakBytes + sumOf(child.pid), 0)
  return sumOf(root) + (processes.find(({ pid }) => pid === root)?.peakBytes ?? 0)
}

/** All processes; one that ends meanwhile is left out. */
export function readProcesses(folder = '/proc'): ProcessStatus[] {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [parseStatus(readFileSync(join(folder, name, 'status'), 'utf8'))]
      } catch {
        return []
      }
    })
}
