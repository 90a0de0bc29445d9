import type { Queries } from '../database.ts'
import { enqueueForReview, type ReviewRequest } from '../review/queue.ts'
import type { TrafficRow } from './sums.ts'

interface Picks {
  /** Of these the most urgent, as many as the day has left. */
  readonly picked: readonly ReviewRequest[]
  /** All of these: leaving one out for a more urgent one would make the sample uneven. */
  readonly sample: readonly ReviewRequest[]
}

export async function enqueueWithinDay(
  queries: Queries,
  { picked, sample }: Picks,
  { reviewsPerDay, at }: { readonly reviewsPerDay: number; readonly at: string },
): Promise<void> {
  const projects = new Set([...picked, ...sample].map(({ project }) => project))
  // In the order of `enqueueForReview`.
  for (const project of [...projects].sort()) {
    const isOwn = (one: ReviewRequest) => one.project === project
    const urgent = await mostUrgent(queries, project, picked.filter(isOwn), { reviewsPerDay, at })
    await enqueueForReview(queries, [...urgent, ...sample.filter(isOwn)])
  }
}

async function mostUrgent(
  queries: Queries,
  project: string,
  requests: readonly ReviewRequest[],
  { reviewsPerDay, at }: { readonly reviewsPerDay: number; readonly at: string },
): Promise<ReviewRequest[]> {
  const day = [project, at.slice(0, 10)]
  const [row] = await queries.query(
    'select items from plumbline.monitor_reviews where project = $1 and day = $2::date',
    day,
  )
  const left = Math.max(0, reviewsPerDay - Number(row?.items ?? 0))
  // Of items too: a group stands where its most urgent request does.
  const byUrgency = requests.toSorted((a, b) => b.priority - a.priority)
  const urgent = [...Map.groupBy(byUrgency, ({ interaction }) => interaction).values()].slice(0, left)
  if (urgent.length > 0)
    await queries.query(
      `insert into plumbline.monitor_reviews as old values ($1, $2::date, $3::integer)
      on conflict (project, day) do update set items = old.items + excluded.items`,
      [...day, urgent.length],
    )
  return urgent.flat()
}

/** Answers drawn in a day of each of these projects: today so far, yesterday, or a day of this traffic, whichever had most. */
export async function drawnADay(
  queries: Queries,
  traffic: readonly TrafficRow[],
  at: string,
): Promise<Map<string, number>> {
  const rows = await queries.query(
    `select project, max(sampled)::integer as sampled from (
      select project, day, sum(sampled) as sampled from plumbline.monitor_traffic
      where project = any($1::text[]) and lane = any($2::text[])
        and (day between $3::date - 1 and $3::date or day = any($4::date[]))
      group by project, lane, day
    ) as days group by project`,
    [
      [...new Set(traffic.map(({ project }) => project))],
      [...new Set(traffic.map(({ lane }) => lane))],
      at.slice(0, 10),
      [...new Set(traffic.map(({ day }) => day))],
    ],
  )
  return new Map(rows.map(({ project, sampled }) => [String(project), Number(sampled)]))
}
