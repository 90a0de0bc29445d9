import { createHash } from 'node:crypto'
import type { Interaction } from '@plumbline/contracts'
import { readInBatches } from '../cursor.ts'
import type { Database, Row } from '../database.ts'
import type { Write } from '../files.ts'
import { isAbout } from '../review/places.ts'
import { createSubjectHasher, readSubjectSecret, type SubjectHasher } from '../subject.ts'
import { type Lesson, type Provenance, type TrainingKind, trainingColumns } from './training-row.ts'

export interface TrainingOptions {
  readonly kind: TrainingKind
  /**
   * `each`: only what its person, or its request (`metadata.training_consent`), said yes to. `project`: everybody agreed
   * by other means; a no still counts.
   */
  readonly consent: 'each' | 'project'
  readonly project?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onRows?: (done: number) => void
}

/** How many rows were written, and what was left out and why. */
export interface TrainingCounts {
  rows: number
  /** Without consent. */
  withheld: number
  /** Not decided by reviewers yet, or decided against. */
  unsettled: number
  /** Requests that are more than text, and rows that say nothing or the same as another. */
  unfit: number
}

/** Feedback and review as rows for trainers, oldest first. */
export async function exportTraining(
  database: Database,
  write: Write,
  { kind, consent, project, since, until, signal, onRows }: TrainingOptions,
): Promise<TrainingCounts> {
  const hash = createSubjectHasher(await readSubjectSecret(database))
  const counts: TrainingCounts = { rows: 0, withheld: 0, unsettled: 0, unfit: 0 }
  const seen = new Set<string>()
  await database.transaction(async (queries) => {
    await queries.query('set transaction isolation level repeatable read')
    const parameters = [project ?? null, since ?? null, until ?? null]
    await readInBatches(queries, lessonsSql, parameters, async (rows) => {
      signal?.throwIfAborted()
      const lines: string[] = []
      for (const row of rows) {
        const line = lineOf(row, kind, consent, hash, counts)
        if (line === undefined) continue
        const digest = createHash('sha256').update(line.content).digest('base64')
        if (seen.has(digest)) counts.unfit++
        else lines.push(line.json)
        seen.add(digest)
      }
      counts.rows += lines.length
      await write(lines.join(''))
      onRows?.(counts.rows)
    })
  })
  return counts
}

/** What can be learned from, each with its record, who judged it, and whether nothing is open about it. */
const lessonsSql = `
  select lesson.*, about.body, judged.people as judges, judged.agreement::text as agreement,
    coalesce(judged.is_settled, true) and lesson.needed <= coalesce(judged.count, 0) as is_settled
  from (
    select said.project, said.interaction, said.record, said.id::text as id, said.kind as source, said.content,
      said.chosen, said.rejected, said.actor as person, said.actor_kind, said.consent, said.created_at,
      case when said.people > 1 then said.people else 0 end as needed
    from plumbline.feedback as said
    where said.kind in ('correction', 'preference') or (said.kind = 'rating' and said.rating > 0 and not exists (
      select 1 from plumbline.feedback as other where other.project = said.project
        and other.interaction = said.interaction and (other.kind in ('flag', 'correction') or other.rating <= 0)))
    union all
    select item.project, item.interaction, item.record, item.id::text, 'review', response.draft, null, null,
      response.reviewer, 'moderator', null, response.submitted_at, 0
    from plumbline.review_responses as response join plumbline.review_items as item on item.id = response.item
    where item.state = 'done' and response.state = 'submitted' and response.label = item.outcome
  ) as lesson
  join lateral (
    select stored.body, stored.id, stored.record from plumbline.interactions as stored
    where ${isAbout('lesson')} and redacted_at is null
    order by (stored.record = lesson.record) is true desc, stored.seq desc limit 1
  ) as about on true
  left join lateral (
    select bool_and(item.state = 'done' and item.outcome <> 'discard') as is_settled,
      count(response.reviewer)::integer as count,
      avg((response.label = item.outcome)::integer) as agreement, string_agg(response.reviewer, ' ') as people
    from plumbline.review_items as item left join plumbline.review_responses as response
      on response.item = item.id and response.state = 'submitted'
    where item.project = lesson.project and item.interaction in (about.id, about.record::text) and item.gold is null
  ) as judged on true
  where ($1::text is null or lesson.project = $1) and ($2::timestamptz is null or lesson.created_at >= $2::timestamptz)
    and ($3::timestamptz is null or lesson.created_at < $3::timestamptz)
  order by lesson.created_at, lesson.id, lesson.person`

function lineOf(
  row: Row,
  kind: TrainingKind,
  mode: TrainingOptions['consent'],
  hash: SubjectHasher,
  counts: TrainingCounts,
): { readonly content: string; readonly json: string } | undefined {
  const interaction = JSON.parse(String(row.body)) as Interaction
  const lesson = lessonOf(row, interaction)
  const isPair = lesson?.rejected !== undefined
  // A preference between two answers shows which is better, not that either is good.
  if (lesson === undefined || (kind === 'preferences' ? !isPair : lesson.source === 'preference')) return undefined
  const consent = consentOf(row, interaction, mode)
  const built = trainingColumns(kind, interaction, lesson)
  if (row.is_settled !== true) counts.unsettled++
  else if (consent === undefined) counts.withheld++
  else if (built === undefined || lesson.chosen === lesson.rejected) counts.unfit++
  else {
    const { columns, prompt_sha256, split } = built
    const { record, project, model } = interaction
    const judges = row.judges === null ? [] : String(row.judges).split(' ')
    const person = lesson.source === 'review' ? [] : [String(row.person)]
    const provenance: Provenance = {
      source: lesson.source,
      id: String(row.id),
      record,
      project,
      model,
      people: [...person, ...judges.map((one) => hash(project, `key:${one}`))],
      agreement: row.agreement === null ? null : Number(row.agreement),
      consent,
      prompt_sha256,
      split,
      created_at: interaction.created_at,
    }
    return { content: JSON.stringify(columns), json: `${JSON.stringify({ ...columns, provenance })}\n` }
  }
  return undefined
}

function lessonOf(row: Row, { text }: Interaction): Lesson | undefined {
  const source = row.source as Lesson['source']
  if (source === 'preference') {
    if (row.chosen === null || row.rejected === null) return undefined
    return { source, chosen: String(row.chosen), rejected: String(row.rejected) }
  }
  if (source === 'rating') return text === '' ? undefined : { source, chosen: text, rejected: undefined }
  if (row.content === null || text === '') return undefined
  const better =
    source === 'review' ? (JSON.parse(String(row.content)) as { correction?: string }).correction : row.content
  return better === undefined ? undefined : { source, chosen: String(better), rejected: text }
}

/** A moderator's yes is for their own words; the prompt is another's. A no of anybody counts. */
function consentOf(
  row: Row,
  { request }: Interaction,
  mode: TrainingOptions['consent'],
): Provenance['consent'] | undefined {
  const { metadata } = Object(request) as { metadata?: unknown }
  const asked = String((Object(metadata) as { training_consent?: unknown }).training_consent ?? '')
  if (row.consent === false || asked === 'false') return undefined
  if (asked === 'true') return 'interaction'
  if (row.consent === true && row.actor_kind === 'end_user') return 'person'
  return mode === 'project' ? 'project' : undefined
}
