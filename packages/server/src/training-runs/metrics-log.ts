import type { FileHandle } from 'node:fs/promises'
import type { MetricSeries } from '@plumbline/contracts'
import { parseObject, readAt, withPlainFile } from './plain-file.ts'
import { createThinnedCurve, type ThinnedCurve } from './thinned-curve.ts'

const maxBytes = 16 * 2 ** 20
/** A few milliseconds of work: answers of the gateway go on in between. */
const chunkBytes = 256 * 1024
const mostPoints = 200
const mostMetrics = 100
const longestName = 100
/** Where in the epochs and how many tokens: the axis of the others. */
const places = ['global_step', 'epoch', 'num_tokens', 'episode']

export interface MetricsRead {
  readonly curves: MetricSeries[]
  readonly remarks: string[]
}

interface State {
  /** Bytes that were read, without a last line that has no end yet. */
  offset: number
  /** The last of them: where they are others now, the run went on from an earlier step. */
  seen: Buffer
  unreadable: number
  readonly curves: Map<string, ThinnedCurve>
}

const fresh = (): State => ({ offset: 0, seen: Buffer.alloc(0), unreadable: 0, curves: new Map() })

/** The curves of one metrics.jsonl. Each reading goes on where the one before ended. */
export function createMetricsLog(path: string): { read(): Promise<MetricsRead> } {
  let state = fresh()
  let reading: Promise<MetricsRead> | undefined
  const read = async (): Promise<MetricsRead> => {
    const size = await withPlainFile(path, async (file, size) => {
      if (!(await isAsBefore(file, state))) state = fresh()
      await readOn(file, state, Math.min(size, maxBytes))
      return size
    })
    if (size === undefined) state = fresh()
    return { curves: seriesOf(state), remarks: remarksOf(state, size ?? 0) }
  }
  return {
    read: () => {
      reading ??= read().finally(() => {
        reading = undefined
      })
      return reading
    },
  }
}

async function isAsBefore(file: FileHandle, { offset, seen }: State): Promise<boolean> {
  return (await readAt(file, offset - seen.length, seen.length)).equals(seen)
}

async function readOn(file: FileHandle, state: State, end: number): Promise<void> {
  while (state.offset < end) {
    const chunk = await readAt(file, state.offset, Math.min(chunkBytes, end - state.offset))
    const whole = chunk.lastIndexOf(10) + 1
    // A line as long as this is none of ours.
    const isHopeless = whole === 0 && chunk.length === chunkBytes
    const taken = isHopeless ? chunk : chunk.subarray(0, whole)
    if (taken.length === 0) return
    if (isHopeless) state.unreadable++
    else for (const line of taken.toString('utf8').split('\n').slice(0, -1)) addLine(line, state)
    state.offset += taken.length
    state.seen = Buffer.from(taken.subarray(-64))
  }
}

function addLine(line: string, state: State): void {
  const row = parseObject(line)
  const step = row?.global_step
  if (row === undefined || typeof step !== 'number' || !Number.isFinite(step)) {
    state.unreadable++
    return
  }
  for (const [name, value] of Object.entries(row)) {
    if (places.includes(name) || name.length > longestName) continue
    // JSON has no NaN: trainers write it as text.
    const isGap = value === 'NaN' || value === 'Infinity' || value === '-Infinity'
    if (typeof value !== 'number' && !isGap) continue
    const curve = curveOf(name, state)
    curve?.add(step, typeof value === 'number' && Number.isFinite(value) ? value : null)
  }
}

function curveOf(name: string, { curves }: State): ThinnedCurve | undefined {
  const there = curves.get(name)
  if (there !== undefined || curves.size === mostMetrics) return there
  const made = createThinnedCurve(mostPoints)
  curves.set(name, made)
  return made
}

function seriesOf({ curves }: State): MetricSeries[] {
  return [...curves].map(([metric, curve]) => ({
    metric,
    seed: null,
    band: curve.stride === 1 ? null : `lowest and highest of each ${curve.stride} values`,
    points: curve.points(),
  }))
}

function remarksOf({ unreadable, curves }: State, size: number): string[] {
  const remarks = []
  if (size > maxBytes) remarks.push(`Of metrics.jsonl the first ${maxBytes} of ${size} bytes are shown.`)
  if (unreadable > 0) remarks.push(`Lines of metrics.jsonl that are no metrics: ${unreadable}.`)
  if (curves.size === mostMetrics) remarks.push(`No more than ${mostMetrics} metrics are shown.`)
  return remarks
}
