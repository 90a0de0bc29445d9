/** Measuring two sides so that what the machine does meanwhile hits both alike. */
import { setTimeout as pause } from 'node:timers/promises'

/** Does its work once and tells the number it came to, in the figure's unit. */
export type Side = () => Promise<number>

export interface InterleaveOptions {
  readonly runs: number
  /** Uncounted rounds before: first calls pay for memory and compilation. */
  readonly warmups?: number
  /** Between two sides: threads of the one before may still spin. */
  readonly settleMs?: number
}

/** A B A B …: each side's numbers in order of the runs; none for a side that is absent. */
export async function interleave<Name extends string>(
  sides: Readonly<Record<Name, Side | undefined>>,
  { runs, warmups = 1, settleMs = 200 }: InterleaveOptions,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(sides) as Name[]
  const results = Object.fromEntries(names.map((name): [Name, number[]] => [name, []])) as Record<Name, number[]>
  for (let run = -warmups; run < runs; run++) {
    for (const name of names) {
      const side: Side | undefined = sides[name]
      if (!side) continue
      const result = await side()
      if (run >= 0) results[name].push(result)
      await pause(settleMs)
    }
  }
  return results
}

/** Seconds that the work takes, with its result. */
export async function timed<T>(work: () => T | Promise<T>): Promise<{ seconds: number; result: Awaited<T> }> {
  const begun = performance.now()
  const result = await work()
  return { seconds: (performance.now() - begun) / 1000, result }
}

/** The middle of the values; of two middles their mean. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2
}

/** (largest − smallest) / median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values)
}
