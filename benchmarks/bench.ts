import type { Figure, Measurement } from './figure.ts'

/** Figures that are measured together. */
export interface Section<World> {
  readonly figures: readonly Figure[]
  /**
   * Hands each figure over as soon as it is known; one that is not wanted may be left out. Throws when both sides did
   * not compute the same.
   */
  run(
    world: World,
    record: (figure: Figure, measurement: Measurement) => void,
    isWanted: (figure: Figure) => boolean,
  ): Promise<void>
}

/** What the command line asks of every bench. */
export interface BenchOptions {
  /** Interleaved pairs; each section has its own default. */
  readonly runs: number | undefined
  /** Small numbers that only show that it works. Of two benches alone: gateway and monitor. */
  readonly isQuick: boolean
  /** Of kill -9, in the gateway's bench, as are the two below. */
  readonly rounds: number | undefined
  /** For so long the database is away. */
  readonly awaySeconds: number | undefined
  /** For so long memory is watched. */
  readonly minutes: number | undefined
  /** Of the monitor's bench: where the filled store stays for the next time, or is already. */
  readonly filled: string | undefined
  readonly log: (text: string) => void
}

/** A bench as the command line knows it. */
export interface Bench {
  readonly name: string
  readonly summary: string
  readonly figures: readonly Figure[]
  /** Measures the wanted figures, or all, in order. */
  run(
    wanted: ReadonlySet<string> | undefined,
    record: (figure: Figure, measurement: Measurement) => void,
    options: BenchOptions,
  ): Promise<void>
}

/** A bench from its sections; `open` builds what they share, `close` puts it away. */
export function defineBench<World>(definition: {
  readonly name: string
  readonly summary: string
  readonly sections: readonly Section<World>[]
  readonly open: (options: BenchOptions) => World
  readonly close: (world: World) => Promise<void>
}): Bench {
  const { name, summary, sections } = definition
  return {
    name,
    summary,
    figures: sections.flatMap(({ figures }) => figures),
    async run(wanted, record, options) {
      const isWanted = (figure: Figure) => wanted?.has(figure.name) ?? true
      const world = definition.open(options)
      try {
        for (const section of sections) {
          if (!section.figures.some(isWanted)) continue
          options.log(
            section.figures
              .filter(isWanted)
              .map(({ title }) => title)
              .join('; '),
          )
          const recordWanted: typeof record = (figure, measurement) => isWanted(figure) && record(figure, measurement)
          await section.run(world, recordWanted, isWanted)
        }
      } finally {
        await definition.close(world)
      }
    },
  }
}
