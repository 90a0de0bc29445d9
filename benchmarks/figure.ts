/** A number that a bench reports, and what it says when both sides are known. */
import { median, spread } from './interleave.ts'

/** What is measured and what is asked of it. */
export interface Figure {
  readonly name: string
  /** For a person; the unit is not in it. */
  readonly title: string
  readonly unit: string
  readonly better: 'lower' | 'higher'
  /** `ratio`: at least so many times as good as the peer. `atMost`, `atLeast`: our own number, whatever the peer's is. */
  readonly goal?: { readonly ratio: number } | { readonly atMost: number } | { readonly atLeast: number }
}

/** Numbers in the figure's unit, one of each side a run; `peer` is left out, or empty, where there is none. */
export interface Measurement {
  readonly ours: readonly number[]
  readonly peer?: readonly number[]
  readonly peerName?: string | null
  /** More fields of the JSON line. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** One JSON line of a bench. */
export interface FigureLine {
  readonly name: string
  readonly ours: number
  readonly peer: number | null
  readonly peer_name: string | null
  readonly unit: string
  /** Above 1 we are better, whichever way the unit runs. */
  readonly ratio: number | null
  /** Interleaved pairs. */
  readonly runs: number
  readonly spread: number
  readonly peer_spread: number | null
  readonly goal: string | null
  /** null: no goal, or no peer to hold it against. */
  readonly met: boolean | null
  readonly [detail: string]: unknown
}

/** Medians of both sides and their ratio. */
export function figureLine(figure: Figure, measurement: Measurement): FigureLine {
  const { ours, peer = [], peerName = null, details } = measurement
  const [our, theirs] = [median(ours), peer.length > 0 ? median(peer) : null]
  const ratio = theirs === null ? null : figure.better === 'lower' ? theirs / our : our / theirs
  return {
    name: figure.name,
    ours: rounded(our),
    peer: theirs === null ? null : rounded(theirs),
    peer_name: theirs === null ? null : peerName,
    unit: figure.unit,
    ratio: ratio === null ? null : rounded(ratio),
    runs: ours.length,
    spread: rounded(spread(ours)),
    peer_spread: theirs === null ? null : rounded(spread(peer)),
    goal: goalText(figure),
    met: isMet(figure, our, ratio),
    ...details,
  }
}

function isMet({ goal }: Figure, ours: number, ratio: number | null): boolean | null {
  if (!goal) return null
  if ('atMost' in goal) return ours <= goal.atMost
  if ('atLeast' in goal) return ours >= goal.atLeast
  return ratio === null ? null : ratio >= goal.ratio
}

function goalText({ goal, unit }: Figure): string | null {
  if (!goal) return null
  if ('atMost' in goal) return `≤ ${goal.atMost} ${unit}`
  return 'atLeast' in goal ? `≥ ${goal.atLeast} ${unit}` : `ratio ≥ ${goal.ratio}`
}

/** Four significant digits: more would be noise. */
const rounded = (value: number) => Number(value.toPrecision(4))
