import { randomUUID } from 'node:crypto'
import type { Alarm } from '@plumbline/contracts'
import { type Queries, type Row, within } from '../database.ts'
import { type Page, type PageOptions, pageOf } from '../interactions.ts'
import { createJobs, type JobState } from '../jobs/jobs.ts'
import { storable } from '../storable.ts'

/** What a detector found. */
export interface NewAlarm {
  readonly project: string
  readonly kind: Alarm['kind']
  /** The evaluator; empty for drift. */
  readonly subject: string
  readonly version: string | null
  readonly summary: string
  /** Written as JSON. */
  readonly evidence: unknown
}

export interface StoredAlarm {
  readonly alarm: Alarm
  readonly project: string
  readonly evidence: unknown
}

/** How telling people of an alarm stands. */
export interface Notification {
  readonly kind: string
  readonly state: JobState
  readonly attempts: number
  readonly error: string | null
}

/** With a worker's longest wait of an hour, about a day: an alarm outlives a channel that is down for a night. */
const tries = 34

/**
 * Opens an alarm, or counts one more detection of the one that is open; its latest evidence is kept. People are told of new
 * ones, by jobs in the same transaction. Gives how many were new.
 */
export async function raise(
  queries: Queries,
  alarms: readonly NewAlarm[],
  { notify, at }: { readonly notify: readonly string[]; readonly at: string },
): Promise<number> {
  const jobs = createJobs(within(queries))
  let opened = 0
  for (const { project, kind, subject, version, summary, evidence } of alarms) {
    const [row] = await queries.query(
      `insert into plumbline.alarms as old
        (id, project, kind, subject, version, state, summary, evidence, detections, opened_at, last_at)
      values ($1::uuid, $2, $3, $4, $5, 'open', $6, $7, 1, $8::timestamptz, $8::timestamptz)
      on conflict (project, kind, subject) where state = 'open' do update set detections = old.detections + 1,
        last_at = greatest(old.last_at, excluded.last_at), version = excluded.version, summary = excluded.summary,
        evidence = excluded.evidence
      returning id::text as id, detections`,
      [randomUUID(), project, kind, subject, version, storable(summary), JSON.stringify(evidence), at],
    )
    if (Number(row.detections) > 1) continue
    opened++
    for (const job of notify) {
      const payload = { project, alarm: String(row.id) }
      await jobs.enqueue({ kind: job, project, payload, idempotencyKey: String(row.id), maxAttempts: tries })
    }
  }
  return opened
}

export async function listAlarms(
  queries: Queries,
  project: string,
  { limit, after, state }: PageOptions & { readonly state?: Alarm['state'] | undefined },
): Promise<Page<Alarm>> {
  const rows = await queries.query(
    `select ${columns} from plumbline.alarms where project = $1 and ($2::text is null or seq < $2::bigint)
      and ($3::text is null or state = $3) order by alarms.seq desc limit $4::integer + 1`,
    [project, after ?? null, state ?? null, limit],
  )
  return pageOf(rows, limit, { toItem: toAlarm, place: 'seq' })
}

export async function findAlarm(queries: Queries, project: string, id: string): Promise<StoredAlarm | undefined> {
  const [row] = await queries.query(
    `select ${columns}, evidence from plumbline.alarms where project = $1 and id = $2::uuid`,
    [project, id],
  )
  return row && { alarm: toAlarm(row), project, evidence: JSON.parse(String(row.evidence)) }
}

/** False when there is no such alarm, or it is closed already. */
export async function closeAlarm(
  queries: Queries,
  project: string,
  { id, by, at }: { readonly id: string; readonly by: string; readonly at: string },
): Promise<boolean> {
  const rows = await queries.query(
    `update plumbline.alarms set state = 'closed', closed_at = $3::timestamptz, closed_by = $4
    where project = $1 and id = $2::uuid and state = 'open' returning 1 as one`,
    [project, id, at, by],
  )
  return rows.length > 0
}

export async function listNotifications(queries: Queries, project: string, alarm: string): Promise<Notification[]> {
  const rows = await queries.query(
    `select kind, state, attempts, error from plumbline.jobs where project = $1 and idempotency_key = $2
      and kind like 'alarm-%' order by kind`,
    [project, alarm],
  )
  return rows.map((row) => ({
    kind: String(row.kind),
    state: row.state as JobState,
    attempts: Number(row.attempts),
    error: row.error === null ? null : String(row.error),
  }))
}

const columns = `seq::text as seq, id::text as id, kind, state, subject, version, summary, detections,
  opened_at::text as opened_at, last_at::text as last_at, closed_at::text as closed_at, closed_by`

function toAlarm(row: Row): Alarm {
  const time = (value: unknown) => new Date(String(value)).toISOString()
  return {
    id: String(row.id),
    kind: row.kind as Alarm['kind'],
    state: row.state as Alarm['state'],
    evaluator: row.subject === '' ? null : String(row.subject),
    version: row.version === null ? null : String(row.version),
    summary: String(row.summary),
    detections: Number(row.detections),
    opened_at: time(row.opened_at),
    last_at: time(row.last_at),
    closed_at: row.closed_at === null ? null : time(row.closed_at),
    closed_by: row.closed_by === null ? null : String(row.closed_by),
  }
}
