/** What a simulation is: figures that come from chance alone, so the same seed gives the same line on every machine. */

export interface SimulationOptions {
  readonly runs: number
  readonly seed: number
}

export interface SimulatedFigure {
  readonly name: string
  readonly title: string
  readonly goal?: { readonly text: string; readonly isMet: (value: number) => boolean }
  run(options: SimulationOptions): {
    readonly value: number
    /** More fields of the JSON line: what was assumed, and how sure the value is. */
    readonly details: Readonly<Record<string, unknown>>
  }
}

export interface Simulation {
  readonly name: string
  readonly summary: string
  readonly figures: readonly SimulatedFigure[]
}

/** One JSON line. */
export interface SimulationLine {
  readonly name: string
  readonly value: number
  readonly goal: string | null
  /** null: no goal. */
  readonly met: boolean | null
  readonly runs: number
  readonly seed: number
  readonly seconds: number
  readonly [detail: string]: unknown
}
