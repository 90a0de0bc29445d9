import type { Database, Queries } from '../database.ts'
import { type NewAlarm, raise } from './alarms.ts'
import type { DayRange } from './figures.ts'
import { beforeRequest } from './take.ts'

/** A day of one project, and how many answers it had. */
export interface AnswerDay {
  readonly project: string
  readonly day: string
  /** Whether it was compared with the first days already. */
  readonly isCompared: boolean
}

export interface KeptLook {
  readonly project: string
  readonly day: string
  /** Written as JSON. */
  readonly report: unknown
  readonly alarm: NewAlarm | undefined
  readonly notify: readonly string[]
  readonly at: string
}

/** Days with answers before a day, of all projects, the oldest first. */
export async function answerDays(queries: Queries, before: string): Promise<AnswerDay[]> {
  const rows = await queries.query(
    `select project, day::text as day, exists (select 1 from plumbline.monitor_drift as kept
      where kept.project = traffic.project and kept.day = traffic.day) as is_compared
    from plumbline.monitor_traffic as traffic where lane = 'records' and day < $1::date
    group by project, day having sum(answers) > 0 order by project, day`,
    [before],
  )
  return rows.map((row) => ({
    project: String(row.project),
    day: String(row.day),
    isCompared: row.is_compared === true,
  }))
}

/** A record whose answer is longer is left out: all of a sample are held in memory at once. */
const maxAnswerBytes = 64 * 1024

/** Some records with answers of these days, without their requests, by chance, always the same. */
export async function sampleAnswers(
  queries: Queries,
  { project, from, to }: DayRange,
  most: number,
): Promise<{ record: string; body: string }[]> {
  const rows = await queries.query(
    `select record::text as record, case when head = body then body else head || '}' end as body
    from plumbline.interactions cross join lateral (select ${beforeRequest} as head offset 0) as own
    where project = $1 and redacted_at is null
      and created_at >= $2::timestamptz and created_at < $3::timestamptz + interval '1 day'
      and octet_length(head) <= ${maxAnswerBytes} and position('"choices":[{' in head) > 0
    order by md5(record::text) limit $4::integer`,
    [project, `${from}T00:00:00Z`, `${to}T00:00:00Z`, most],
  )
  return rows.map(({ record, body }) => ({ record: String(record), body: String(body) }))
}

/** One look for each day: false when it is there already, and then no alarm is raised either. */
export async function keepLook(
  database: Database,
  { project, day, report, alarm, notify, at }: KeptLook,
): Promise<boolean> {
  return database.transaction(async (queries) => {
    const added = await queries.query(
      `insert into plumbline.monitor_drift values ($1, $2::date, $3) on conflict do nothing returning 1 as one`,
      [project, day, JSON.stringify(report)],
    )
    if (added.length === 0) return false
    if (alarm !== undefined) await raise(queries, [alarm], { notify, at })
    return true
  })
}
