import { actorKindSchema, feedbackKindSchema } from '@plumbline/contracts'
import { z } from 'zod'

/** One piece of feedback on its way. */
export const feedbackRowSchema = z.object({
  /** The same for the same feedback sent again, or edited. */
  id: z.uuid(),
  project: z.string(),
  /** The id of an answer or of a record, which may come later. */
  interaction: z.string(),
  kind: feedbackKindSchema,
  category: z.string().nullable(),
  rating: z.number().nullable(),
  text: z.string().nullable(),
  chosen: z.string().nullable(),
  rejected: z.string().nullable(),
  actorKind: actorKindSchema,
  /** The hash of a person. */
  actor: z.string(),
  consent: z.boolean().nullable(),
  /** How many people must have looked before anything follows from it; above 0 it is put before reviewers. */
  people: z.number().int().min(0),
  at: z.iso.datetime(),
})
export type FeedbackRow = Readonly<z.infer<typeof feedbackRowSchema>>

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
