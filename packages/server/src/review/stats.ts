import { krippendorffAlpha } from '@plumbline/evals'
import type { Store } from '@plumbline/store'

type Figures = Awaited<ReturnType<Store['review']['figures']>>

/** Of all reviewers, or of one. */
export function reviewStats({ items, labels, reviewers }: Figures, only: string | undefined) {
  const byItem = Map.groupBy(labels, ({ item }) => item)
  const units = [...byItem.values()].map((unit) => unit.map(({ label }) => label))
  const paired = units.filter(({ length }) => length >= 2)
  const alpha = paired.length === 0 ? null : krippendorffAlpha(units)
  return {
    items,
    agreement: { alpha, items: paired.length, labels: paired.flat().length },
    reviewers: reviewers
      .filter(({ reviewer }) => only === undefined || reviewer === only)
      .map(({ medianLeadMs, goldRight, gold, ...rest }) => ({
        ...rest,
        median_lead_ms: medianLeadMs,
        gold: { right: goldRight, of: gold },
      })),
  }
}
