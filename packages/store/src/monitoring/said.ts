import type { Queries } from '../database.ts'
import { isUuid } from '../interactions.ts'
import { storable } from '../storable.ts'
import type { EvaluationRow } from './settle.ts'

/** What evaluators have said of an answer so far. */
export interface SaidOfAnswer {
  readonly record: string
  /** Lanes that have come by. */
  readonly lanes: readonly string[]
  readonly evaluations: readonly Evaluation[]
}

interface Evaluation
  extends Pick<
    EvaluationRow,
    'evaluator' | 'version' | 'outcome' | 'label' | 'category' | 'score' | 'error' | 'probability'
  > {
  readonly at: string
}

/** By the record's own id, else of the newest with that id of an answer; undefined where there is no such record. */
export async function readSaid(queries: Queries, project: string, id: string): Promise<SaidOfAnswer | undefined> {
  const [found] = await queries.query(
    `select record::text as record, array(
        select lane from plumbline.monitor_cursors as cursor where cursor.seq >= interactions.seq) as lanes
    from plumbline.interactions where project = $1 and (id = $2 or record = $3::uuid)
    order by (record = $3::uuid) is true desc, seq desc limit 1`,
    [project, storable(id), isUuid(id) ? id : null],
  )
  if (found === undefined) return undefined
  const record = String(found.record)
  const rows = await queries.query(
    `select evaluator, version, outcome, label, category, score::text as score, error, probability::text as probability,
      at::text as at from plumbline.evaluations where record = $1::uuid order by evaluator, at desc, version`,
    [record],
  )
  const evaluations = rows.map((row) => ({
    ...(row as unknown as Evaluation),
    score: row.score === null ? null : Number(row.score),
    probability: Number(row.probability),
    at: new Date(String(row.at)).toISOString(),
  }))
  return { record, lanes: found.lanes as unknown as string[], evaluations }
}
