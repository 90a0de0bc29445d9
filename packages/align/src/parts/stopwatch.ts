/** Seconds by what they were spent on. */
export interface Stopwatch {
  time<Result>(name: string, work: () => Promise<Result>): Promise<Result>
  /** Sums since the last call, by name, as metrics `time/…`. */
  take(): Record<string, number>
}

/** `clock` gives milliseconds and never goes back. */
export function createStopwatch(clock: () => number): Stopwatch {
  let seconds: Record<string, number> = {}
  return {
    async time(name, work) {
      const begun = clock()
      const result = await work()
      seconds[`time/${name}`] = (seconds[`time/${name}`] ?? 0) + (clock() - begun) / 1000
      return result
    },
    take() {
      const taken = seconds
      seconds = {}
      return taken
    },
  }
}
