import { PlumblineError } from '@plumbline/contracts'

/**
 * Krippendorff's alpha for nominal labels (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C):
 * 1 − D_observed / D_expected over the pairs of labels within units. Any number of raters, any of them missing: a unit
 * is the labels it was given, in any order; units with fewer than two say nothing. 1 where all labels are one and the
 * same, as `cohenKappa`. Throws INVALID_COUNT without a unit of two labels.
 */
export function krippendorffAlpha(units: readonly (readonly string[])[]): number {
  const paired = units.filter(({ length }) => length >= 2)
  const n = paired.reduce((sum, { length }) => sum + length, 0)
  if (n === 0) throw new PlumblineError('INVALID_COUNT', 'alpha: no unit has two labels to compare.')
  const totals = new Map<string, number>()
  let disagreed = 0 // coincidences off the diagonal
  for (const unit of paired) {
    const counts = new Map<string, number>()
    for (const label of unit) counts.set(label, (counts.get(label) ?? 0) + 1)
    for (const [label, count] of counts) {
      totals.set(label, (totals.get(label) ?? 0) + count)
      disagreed += (count * (unit.length - count)) / (unit.length - 1)
    }
  }
  const expected = [...totals.values()].reduce((sum, total) => sum + total * (n - total), 0)
  return expected === 0 ? 1 : 1 - ((n - 1) * disagreed) / expected
}
