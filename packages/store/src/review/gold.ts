import { PlumblineError } from '@plumbline/contracts'
import type { Queries } from '../database.ts'
import { storable } from '../storable.ts'
import type { ReviewRequest } from './queue.ts'

/** Gold items leave the sample, and whoever picks them knows the answer: which ones count must not be anybody's choice. */
export async function refuseGoldOfSample(queries: Queries, requests: readonly ReviewRequest[]): Promise<void> {
  const gold = requests.filter((one) => one.gold !== null)
  if (gold.length === 0) return
  const [found] = await queries.query(
    `select item.interaction from unnest($1::text[], $2::text[]) as sent (project, interaction)
    join plumbline.review_items as item on item.project = sent.project and item.interaction = sent.interaction
    where item.probability is not null limit 1`,
    [gold.map(({ project }) => storable(project)), gold.map(({ interaction }) => storable(interaction))],
  )
  if (found === undefined) return
  const message = `${String(found.interaction)} cannot be gold: it was drawn by chance to measure evaluators.`
  throw new PlumblineError('REVIEW_GOLD_SAMPLED', message, { hint: 'Take an answer that is not in the sample.' })
}
