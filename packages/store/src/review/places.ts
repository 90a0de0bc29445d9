import type { Queries } from '../database.ts'
import { beyondLongest } from '../later.ts'

/** `lost`: the item is another reviewer's by now, what was written is kept. `none`: there is no such lease. */
export type LeaseAnswer<T> = T | 'lost' | 'none'

/** Who holds what. */
export interface Holder {
  readonly project: string
  readonly reviewer: string
  readonly item: string
  readonly lease: string
}

/** The record of an item or of feedback, by either of its ids. */
export const isAbout = (one: string) =>
  `stored.project = ${one}.project and (stored.record = ${one}.record or stored.id = ${one}.interaction)`

/** One reviewer of a project at a time gets or gives an item, so that none has more reviewers than are wanted. */
export async function inTurn(queries: Queries, project: string): Promise<void> {
  await queries.query('select pg_advisory_xact_lock(7586216, hashtext($1))', [project])
}

/** A lease that ends later than any does, an hour from now, was made while the database's clock was ahead. */
export const isLive = (time = 'leased_until') => `(${time} > clock_timestamp() and ${time} < ${beyondLongest})`

/** Open items have a place for each person wanted, disputed ones a place for one who decides, gold ones for everybody. */
export const hasPlace = (reviewer: string) => `(item.gold is not null or (
  select count(*) filter (where other.state = 'submitted') * (item.state = 'open')::integer
    + count(*) filter (where other.state = 'leased' and ${isLive()})
  from plumbline.review_responses as other where other.item = item.id and reviewer <> ${reviewer}
  ) < case item.state when 'open' then item.wanted when 'disputed' then 1 else 0 end)`
