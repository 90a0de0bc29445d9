import { isUuid } from '../interactions.ts'
import { isAbout } from '../review/places.ts'
import { storable } from '../storable.ts'
import type { FeedbackRow } from './latest.ts'

/** What `namesOf` gives, each with both names of its answer; without them where the answer has not come. */
export const namedSql = `select sent.*, stored.record::text as own_record, stored.id as own_id
  from unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) as sent (index, project, interaction, record)
  left join lateral (select record, id from plumbline.interactions as stored where ${isAbout('sent')}
    order by (stored.record = sent.record) is true desc, seq desc limit 1) as stored on true`

/** The parameters of `namedSql`. */
export const namesOf = (rows: readonly FeedbackRow[]) => [
  rows.map((_, index) => String(index)),
  rows.map(({ project }) => storable(project)),
  rows.map(({ interaction }) => storable(interaction)),
  rows.map(({ interaction }) => (isUuid(interaction) ? interaction : null)),
]
