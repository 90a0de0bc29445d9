import type { ReviewItem } from '@plumbline/contracts'
import type { ReviewLease } from '@plumbline/store'

/**
 * An item that is to measure evaluators, without anything by which they or guards could sway whoever judges it: all of the
 * sample look alike, whatever else brought them here. What people said stays.
 */
export function blinded({
  interaction,
  feedback,
}: Pick<ReviewLease, 'interaction' | 'feedback'>): Pick<
  ReviewItem,
  'reasons' | 'category' | 'disagreement' | 'feedback' | 'interaction'
> {
  return {
    reasons: ['random'],
    category: null,
    disagreement: null,
    feedback: feedback.filter(({ actor_kind }) => actor_kind !== 'system'),
    interaction: { ...interaction, guards: [], notes: [] },
  }
}
