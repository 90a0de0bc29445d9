import { randomUUID } from 'node:crypto'
import type { Database, Row } from '../database.ts'
import { beyondLongest, later } from '../later.ts'
import { storable } from '../storable.ts'

/** Work that is remembered in the database. Times are the database's: workers on machines whose clocks differ agree. */
export interface NewJob {
  readonly kind: string
  /** Whose it is; null for the whole store's. */
  readonly project: string | null
  readonly payload: unknown
  /** A second job of this kind, project and key is the first one. */
  readonly idempotencyKey?: string
  /** An hour at most: one that waits longer is held to come from a clock that was ahead. */
  readonly delayMs?: number
  /** Tries before it is dead. */
  readonly maxAttempts?: number
}

export type JobState = 'waiting' | 'running' | 'done' | 'dead'

export interface Job {
  readonly id: string
  readonly kind: string
  readonly project: string | null
  readonly payload: unknown
  readonly state: JobState
  /** How often it was begun. */
  readonly attempts: number
  readonly maxAttempts: number
  readonly result: unknown
  /** Of the last try that failed. */
  readonly error: string | null
  readonly createdAt: string
  readonly finishedAt: string | null
}

/** A job in this worker's hands, until the lease ends. */
export interface LeasedJob extends Job {
  readonly lease: string
}

export interface Jobs {
  enqueue(job: NewJob): Promise<{ id: string; isNew: boolean }>
  /** One job that comes again: `everyMs` after its last end, whatever that was. Replaces an earlier one of this kind. */
  schedule(job: Pick<NewJob, 'kind' | 'payload'> & { readonly everyMs: number }): Promise<void>
  /** The job that is due longest, also one whose worker has gone silent. Leases are of an hour at most. */
  lease(kinds: readonly string[], leaseMs: number): Promise<LeasedJob | undefined>
  /** Each of these is false when the lease was lost: the work belongs to another worker by now. */
  heartbeat(job: LeasedJob, leaseMs: number): Promise<boolean>
  complete(job: LeasedJob, result?: unknown): Promise<boolean>
  /** Tries again after `backoffMs`, an hour at most, or gives up after the last try. */
  fail(job: LeasedJob, error: string, backoffMs: number): Promise<boolean>
  /** Puts it back as if it had not been begun. */
  release(job: LeasedJob): Promise<boolean>
  /** Of one project only. */
  find(project: string, id: string): Promise<Job | undefined>
}

/** Whether a time has come, or was written while the database's clock was ahead; what repeats is put off for longer. */
const isDue = (time: string, repeatMs = '0') =>
  `(${time} <= clock_timestamp()
    or ${time} > ${beyondLongest} + coalesce(${repeatMs}, 0) * interval '1 millisecond')`

const columns = `id::text as id, kind, project, payload, state, attempts, max_attempts, result, error,
  created_at::text as created_at, finished_at::text as finished_at`

export function createJobs(database: Database): Jobs {
  const held = async (sql: string, { id, lease }: LeasedJob, ...more: (string | number | null)[]) => {
    const rows = await database.query(
      `update plumbline.jobs set ${sql} where id = $1::uuid and lease = $2::uuid and state = 'running' returning 1 as one`,
      [id, lease, ...more],
    )
    return rows.length > 0
  }
  return {
    enqueue: async ({ kind, project, payload, idempotencyKey, delayMs = 0, maxAttempts = 5 }) => {
      const [added] = await database.query(
        `insert into plumbline.jobs (id, kind, project, payload, idempotency_key, state, run_at, max_attempts)
        values ($1::uuid, $2, $3, $4, $5, 'waiting', ${later('$6')}, $7::integer)
        on conflict (kind, coalesce(project, ''), idempotency_key) do nothing returning id::text as id`,
        [randomUUID(), kind, project, JSON.stringify(payload), idempotencyKey ?? null, delayMs, maxAttempts],
      )
      if (added !== undefined) return { id: String(added.id), isNew: true }
      const [present] = await database.query(
        `select id::text as id from plumbline.jobs
        where kind = $1 and project is not distinct from $2::text and idempotency_key = $3`,
        [kind, project, idempotencyKey ?? null],
      )
      return { id: String(present.id), isNew: false }
    },
    schedule: async ({ kind, payload, everyMs }) => {
      await database.query(
        `insert into plumbline.jobs as old
          (id, kind, payload, idempotency_key, state, run_at, repeat_ms, max_attempts)
        values ($1::uuid, $2, $3, 'schedule', 'waiting', clock_timestamp(), $4::bigint, 3)
        on conflict (kind, coalesce(project, ''), idempotency_key) do update
        set payload = excluded.payload, repeat_ms = excluded.repeat_ms,
          run_at = least(old.run_at, ${later('$4')})`,
        [randomUUID(), kind, JSON.stringify(payload), everyMs],
      )
    },
    lease: async (kinds, leaseMs) => {
      await buryAbandoned(database)
      const [row] = await database.query(
        `update plumbline.jobs set state = 'running', attempts = attempts + 1, lease = $2::uuid, leased_until = ${later('$3')}
        where id = (
          select id from plumbline.jobs
          where kind = any($1::text[]) and ((state = 'waiting' and ${isDue('run_at', 'repeat_ms')})
            or (state = 'running' and ${isDue('leased_until')}))
          order by run_at, id limit 1 for update skip locked
        ) returning ${columns}, lease::text as lease`,
        [[...kinds], randomUUID(), leaseMs],
      )
      return row && { ...toJob(row), lease: String(row.lease) }
    },
    heartbeat: (job, leaseMs) => held(`leased_until = ${later('$3')}`, job, leaseMs),
    complete: (job, result) =>
      held(
        `state = case when repeat_ms is null then 'done' else 'waiting' end, result = $3, error = null,
        run_at = clock_timestamp() + coalesce(repeat_ms, 0) * interval '1 millisecond',
        attempts = case when repeat_ms is null then attempts else 0 end,
        finished_at = case when repeat_ms is null then clock_timestamp() end`,
        job,
        JSON.stringify(result ?? null),
      ),
    fail: (job, error, backoffMs) => held(endOfTry('$3', '$4::float8'), job, storable(error).slice(0, 2000), backoffMs),
    release: (job) => held("state = 'waiting', run_at = clock_timestamp(), attempts = attempts - 1", job),
    find: async (project, id) => {
      const [row] = await database.query(`select ${columns} from plumbline.jobs where id = $1::uuid and project = $2`, [
        id,
        project,
      ])
      return row && toJob(row)
    },
  }
}

/** What a failed try leaves: another one, or after the last a dead job; one that repeats waits for its next turn. */
function endOfTry(error: string, backoffMs: string): string {
  return `error = ${error}, lease = null, leased_until = null,
    state = case when attempts < max_attempts or repeat_ms is not null then 'waiting' else 'dead' end,
    run_at = clock_timestamp()
      + case when attempts < max_attempts then ${backoffMs} else coalesce(repeat_ms, 0) end * interval '1 millisecond',
    attempts = case when attempts >= max_attempts and repeat_ms is not null then 0 else attempts end,
    finished_at = case when attempts >= max_attempts and repeat_ms is null then clock_timestamp() end`
}

/** A job whose worker went silent in the last try may have been what ended it: it is not begun once more. */
async function buryAbandoned(database: Database): Promise<void> {
  await database.query(
    `update plumbline.jobs set ${endOfTry("'the worker went silent in the last try'", '0')}
    where state = 'running' and ${isDue('leased_until')} and attempts >= max_attempts`,
  )
}

function toJob(row: Row): Job {
  const time = (value: unknown) => (value === null ? null : new Date(String(value)).toISOString())
  return {
    id: String(row.id),
    kind: String(row.kind),
    project: row.project === null ? null : String(row.project),
    payload: JSON.parse(String(row.payload)),
    state: row.state as JobState,
    attempts: Number(row.attempts),
    maxAttempts: Number(row.max_attempts),
    result: row.result === null ? null : JSON.parse(String(row.result)),
    error: row.error === null ? null : String(row.error),
    createdAt: time(row.created_at)!,
    finishedAt: time(row.finished_at),
  }
}
