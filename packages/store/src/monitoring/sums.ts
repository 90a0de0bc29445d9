import type { Queries } from '../database.ts'
import { storable } from '../storable.ts'

/** Records of one day that had one probability of being drawn. */
export interface TrafficRow {
  readonly project: string
  readonly lane: string
  readonly day: string
  readonly probability: number
  readonly answers: number
  /** Records without an answer. */
  readonly failed: number
  readonly sampled: number
  /** Of those that were drawn, those with at least one verdict. */
  readonly evaluated: number
}

/** What one evaluator found in the drawn ones. */
export interface RateRow {
  readonly project: string
  readonly evaluator: string
  readonly version: string
  readonly day: string
  readonly probability: number
  readonly lane: string
  /** With a verdict, and those flagged among them. */
  readonly judged: number
  readonly flagged: number
  readonly setAside: number
  readonly errors: number
}

/** The same by what a caller says of the answer. */
export interface CohortRow {
  readonly project: string
  readonly evaluator: string
  readonly version: string
  readonly day: string
  readonly attribute: string
  readonly cohort: string
  readonly judged: number
  readonly flagged: number
}

/** The first answer of a model, or under a configuration. */
export interface MarkRow {
  readonly project: string
  readonly kind: 'model' | 'config'
  readonly name: string
  readonly at: string
}

const maxMarks = 200
/** Names of cohorts of one attribute that are kept apart, of so many days. */
const maxCohorts = 200
const cohortDays = 31
/** Of all other names. */
export const restCohort = 'all others'

export async function addTraffic(queries: Queries, rows: readonly TrafficRow[]): Promise<void> {
  if (rows.length === 0) return
  await queries.query(
    `insert into plumbline.monitor_traffic as old
      (project, lane, day, probability, answers, failed, sampled, evaluated)
    select * from unnest($1::text[], $2::text[], $3::date[], $4::float8[], $5::integer[], $6::integer[], $7::integer[],
      $8::integer[])
    on conflict (project, lane, day, probability) do update set answers = old.answers + excluded.answers,
      failed = old.failed + excluded.failed, sampled = old.sampled + excluded.sampled,
      evaluated = old.evaluated + excluded.evaluated`,
    [
      rows.map(({ project }) => project),
      rows.map(({ lane }) => lane),
      rows.map(({ day }) => day),
      rows.map(({ probability }) => String(probability)),
      rows.map(({ answers }) => String(answers)),
      rows.map(({ failed }) => String(failed)),
      rows.map(({ sampled }) => String(sampled)),
      rows.map(({ evaluated }) => String(evaluated)),
    ],
  )
}

export async function addRates(queries: Queries, rows: readonly RateRow[]): Promise<void> {
  if (rows.length === 0) return
  await queries.query(
    `insert into plumbline.monitor_rates as old
      (project, evaluator, version, day, probability, lane, judged, flagged, set_aside, errors)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::float8[], $6::text[], $7::integer[],
      $8::integer[], $9::integer[], $10::integer[])
    on conflict (project, evaluator, version, day, probability) do update set judged = old.judged + excluded.judged,
      flagged = old.flagged + excluded.flagged, set_aside = old.set_aside + excluded.set_aside,
      errors = old.errors + excluded.errors`,
    [
      rows.map(({ project }) => project),
      rows.map(({ evaluator }) => evaluator),
      rows.map(({ version }) => version),
      rows.map(({ day }) => day),
      rows.map(({ probability }) => String(probability)),
      rows.map(({ lane }) => lane),
      rows.map(({ judged }) => String(judged)),
      rows.map(({ flagged }) => String(flagged)),
      rows.map(({ setAside }) => String(setAside)),
      rows.map(({ errors }) => String(errors)),
    ],
  )
}

/** Past a bound new names of a month are counted together: callers may name cohorts at will. */
export async function addCohorts(queries: Queries, rows: readonly CohortRow[]): Promise<void> {
  if (rows.length === 0) return
  const group = 'project, evaluator, version, day, attribute'
  await queries.query(
    `with sent as (
      select * from unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::text[], $7::integer[],
        $8::integer[]) as sent (${group}, cohort, judged, flagged)
    ), known as materialized (
      select distinct ${group}, old.cohort from (select distinct ${group} from sent) as own
      join lateral (select cohort from plumbline.monitor_cohorts as kept
        where (kept.project, kept.evaluator, kept.version, kept.attribute)
          = (own.project, own.evaluator, own.version, own.attribute)
          and kept.day > own.day - ${cohortDays} and kept.day <= own.day) as old on true
    ), counted as (select ${group}, count(*) as names from known group by ${group}
    ), placed as (
      select sent.*, known.cohort is not null as is_known, coalesce(names, 0) + dense_rank() over (
        partition by ${group}, known.cohort is not null order by sent.cohort) as place
      from sent left join known using (${group}, cohort) left join counted using (${group})
    )
    insert into plumbline.monitor_cohorts as old (${group}, cohort, judged, flagged)
    select ${group}, case when is_known or place <= ${maxCohorts} then cohort else $9 end as name, sum(judged),
      sum(flagged) from placed group by ${group}, name
    on conflict (${group}, cohort) do update set
      judged = old.judged + excluded.judged, flagged = old.flagged + excluded.flagged`,
    [
      rows.map(({ project }) => project),
      rows.map(({ evaluator }) => evaluator),
      rows.map(({ version }) => version),
      rows.map(({ day }) => day),
      rows.map(({ attribute }) => storable(attribute)),
      rows.map(({ cohort }) => storable(cohort)),
      rows.map(({ judged }) => String(judged)),
      rows.map(({ flagged }) => String(flagged)),
      restCohort,
    ],
  )
}

/** The earliest counts. Past a bound no new names are kept: callers may name models at will. */
export async function addMarks(queries: Queries, rows: readonly MarkRow[]): Promise<void> {
  if (rows.length === 0) return
  await queries.query(
    `insert into plumbline.monitor_marks as old (project, kind, name, at)
    select sent.project, sent.kind, sent.name, sent.at
    from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as sent (project, kind, name, at)
    where (select count(*) from plumbline.monitor_marks as present
      where present.project = sent.project and present.kind = sent.kind) < ${maxMarks}
      or exists (select 1 from plumbline.monitor_marks as present
        where (present.project, present.kind, present.name) = (sent.project, sent.kind, sent.name))
    on conflict (project, kind, name) do update set at = excluded.at where excluded.at < old.at`,
    [
      rows.map(({ project }) => project),
      rows.map(({ kind }) => kind),
      rows.map(({ name }) => storable(name)),
      rows.map(({ at }) => at),
    ],
  )
}
