import type { ActorKind, FeedbackKind } from '@plumbline/contracts'

/** One piece of feedback on its way. */
export interface FeedbackRow {
  /** The same for the same feedback sent again, or edited. */
  readonly id: string
  readonly project: string
  /** The id of an answer or of a record, which may come later. */
  readonly interaction: string
  readonly kind: FeedbackKind
  readonly category: string | null
  readonly rating: number | null
  readonly text: string | null
  readonly chosen: string | null
  readonly rejected: string | null
  readonly actorKind: ActorKind
  /** The hash of a person. */
  readonly actor: string
  readonly consent: boolean | null
  /** How many people must have looked before anything follows from it; above 0 it is put before reviewers. */
  readonly people: number
  readonly at: string
}

/** For so long after it was said first, feedback may be said anew. */
export const editWindowMs = 86_400_000

/** One row for each feedback: the latest within the time for edits, with when it was said first. */
export function latestOfEach(rows: readonly FeedbackRow[]): (FeedbackRow & { readonly firstAt: string })[] {
  const groups = Map.groupBy(rows, ({ project, id }) => `${project} ${id}`)
  return [...groups.values()].map((group) => {
    const sorted = [...group].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    const firstAt = sorted[0].at
    const end = Date.parse(firstAt) + editWindowMs
    return { ...sorted.findLast(({ at }) => Date.parse(at) <= end)!, firstAt }
  })
}
