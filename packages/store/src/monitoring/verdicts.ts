import type { Queries } from '../database.ts'
import type { EvaluationRow } from './settle.ts'

/** What an evaluator said of an answer, whichever lane it is in. */
export interface Verdict
  extends Pick<EvaluationRow, 'record' | 'evaluator' | 'version' | 'label' | 'category' | 'score'> {
  readonly isFlagged: boolean
}

/** All verdicts on these records. */
export async function readVerdicts(queries: Queries, records: readonly string[]): Promise<Verdict[]> {
  if (records.length === 0) return []
  const rows = await queries.query(
    `select record::text as record, evaluator, version, outcome, label, category, score::text as score
    from plumbline.evaluations where record = any($1::uuid[]) and outcome in ('flagged', 'passed')
    order by record, evaluator, version`,
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
