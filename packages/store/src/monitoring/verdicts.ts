import type { Queries } from '../database.ts'
import type { EvaluationRow } from './settle.ts'

/** What an evaluator said of an answer, whichever lane it is in. */
export interface Verdict
  extends Pick<EvaluationRow, 'record' | 'evaluator' | 'version' | 'label' | 'category' | 'score'> {
  readonly isFlagged: boolean
}

/**
 * All verdicts on these records. Looked up one by one: an embedded store has no statistics (PostgreSQL's come from
 * autovacuum), and takes any hundred records for half of the table, which it then reads whole. `offset 0` keeps the planner
 * from joining it otherwise.
 */
export async function readVerdicts(queries: Queries, records: readonly string[]): Promise<Verdict[]> {
  if (records.length === 0) return []
  const rows = await queries.query(
    `select found.record::text as record, evaluator, version, outcome, label, category, score::text as score
    from unnest($1::uuid[]) as asked (record) cross join lateral (
      select * from plumbline.evaluations as one where one.record = asked.record offset 0
    ) as found
    where outcome in ('flagged', 'passed')
    order by found.record, evaluator, version`,
    [records],
  )
  return rows.map((row) => ({
    record: String(row.record),
    evaluator: String(row.evaluator),
    version: String(row.version),
    isFlagged: row.outcome === 'flagged',
    label: row.label as string | null,
    category: row.category as string | null,
    score: row.score === null ? null : Number(row.score),
  }))
}
