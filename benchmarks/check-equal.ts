import { PlumblineError } from '@plumbline/contracts'

/** A time for another result is worth nothing. Throws BENCH_DISAGREES. */
export function checkEqual(what: string, ours: number, peer: number, tolerance: number): void {
  if (Math.abs(ours - peer) <= tolerance) return
  throw new PlumblineError(
    'BENCH_DISAGREES',
    `${what}: ${ours} is ours, ${peer} the peer's; they may differ by ${tolerance}.`,
    {
      hint: 'Make both sides compute the same before looking at any time.',
    },
  )
}
