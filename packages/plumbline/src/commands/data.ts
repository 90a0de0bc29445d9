import { resolve } from 'node:path'
import { PlumblineError, projectSchema } from '@plumbline/contracts'
import type { Erasure, Store, Write } from '@plumbline/store'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { placeFields, withStore } from '../data-place.ts'
import type { World } from '../world.ts'

const time = (text: string) =>
  z
    .string()
    .refine((value) => Date.parse(value) >= 0, 'must be a time such as 2026-01-31 or 2026-01-31T12:00:00Z')
    .transform((value) => new Date(value).toISOString())
    .optional()
    .describe(text)
const days = (text: string) => z.number().positive().max(36_500).optional().describe(text)
const project = projectSchema.default('default').describe('whose records')

export const dataExport = defineCommand({
  name: 'data export',
  summary: 'write records to a file for other programs',
  description:
    'Everything as it is at one moment, oldest first. The file appears when it is whole. Records hold what people said: only you may read the file. preferences are rows for plumb reward, demonstrations for plumb sft: corrections, preferences, good ratings and what reviewers wrote, each with its provenance, and none without consent.',
  examples: [
    {
      line: 'plumb data export --data runs/gateway --kind interactions --format parquet --output january.parquet --since 2026-01-01 --until 2026-02-01',
      does: 'one month for a notebook',
    },
    {
      line: 'plumb data export --data runs/gateway --kind interactions --format jsonl --output all.jsonl.gz',
      does: 'everything, compressed',
    },
    {
      line: 'plumb data export --data runs/gateway --kind preferences --output pairs.jsonl',
      does: 'what people said of answers, as pairs for plumb reward',
    },
  ],
  config: z.object({
    ...placeFields,
    kind: z
      .enum(['interactions', 'preferences', 'demonstrations'])
      .describe('which records, or rows for which trainer'),
    format: z
      .enum(['jsonl', 'parquet'])
      .default('jsonl')
      .describe('JSON lines, or for interactions Parquet with what is nested as JSON text'),
    output: z
      .string()
      .min(1)
      .optional()
      .describe('the file, KIND.FORMAT when left out; a name that ends in .gz is compressed'),
    consent: z
      .enum(['each', 'project'])
      .default('each')
      .describe(
        'rows for trainers: of those who said yes, or of all who did not say no, as the project has their consent',
      ),
    since: time('not before this time'),
    until: time('before this time'),
    project: projectSchema.optional().describe('only these records; otherwise those of all'),
    overwrite: z.boolean().default(false).describe('replace a file that is there'),
  }),
  async run({ kind, format, output, consent, since, until, project, overwrite, ...place }, world) {
    const { writeFileWhole } = await import('@plumbline/store')
    const file = resolve(world.cwd, output ?? `${kind}.${format}`)
    const filter = { project, since, until, signal: world.signal }
    const exported = <T>(work: (store: Store, write: Write, onRows: (done: number) => void) => Promise<T>) =>
      withStore(place, world, (store) =>
        withProgress('export', world, (onRows) =>
          writeFileWhole(file, { overwrite }, (write) => work(store, write, onRows)),
        ),
      )
    if (kind !== 'interactions') {
      if (format !== 'jsonl') {
        throw new PlumblineError('USAGE_CONFLICT', `Trainers read JSON lines: there are no ${kind} as ${format}.`, {
          hint: 'Leave --format out.',
        })
      }
      const counts = await exported((store, write, onRows) =>
        store.exportTraining(write, { ...filter, kind, consent, onRows }),
      )
      if (world.json) world.emit({ file, ...counts })
      else world.stdout.write(`${counts.rows} ${kind} in ${file}; left out: ${leftOut(counts)}\n`)
      return
    }
    const rows = await exported((store, write, onRows) =>
      store.exportInteractions(write, { ...filter, format, onRows }),
    )
    if (world.json) world.emit({ file, rows })
    else world.stdout.write(`${rows} interactions in ${file}\n`)
  },
})

function leftOut({ withheld, unsettled, unfit }: { withheld: number; unsettled: number; unfit: number }): string {
  return `${withheld} without consent, ${unsettled} that reviewers have not settled, ${unfit} that trainers cannot use`
}

const target = {
  ...placeFields,
  subject: z.string().min(1).max(512).optional().describe('a person, by the name that requests give'),
  subject_hash: z
    .string()
    .regex(/^[\w-]{43}$/, 'must be one of the "subjects" of a record')
    .optional()
    .describe('a person, by the hash in records'),
  record: z
    .string()
    .refine(
      (id) => z.uuid().safeParse(id).success,
      'must be the "record" of an answer, its x-request-id: an "id" may be given twice',
    )
    .optional()
    .describe('one record, by its "record"'),
  project,
}

function erasing(mode: Erasure['mode'], summary: string, description: string) {
  return defineCommand({
    name: `data ${mode}`,
    summary,
    description: `${description} Nothing of it gets in again, not out of a spool either. Files that were exported or backed up before are yours to look after.`,
    examples: [
      { line: `plumb data ${mode} --data runs/gateway --subject user-4711`, does: 'everything of one person' },
      {
        line: `plumb data ${mode} --database postgres://plumbline@db/plumbline --record 0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee`,
        does: 'one record',
      },
    ],
    config: z.object(target),
    async run({ subject, subject_hash, record, project, ...place }, world) {
      const given = [subject, subject_hash, record].filter((value) => value !== undefined)
      if (given.length !== 1) {
        const code = given.length === 0 ? 'USAGE_MISSING' : 'USAGE_CONFLICT'
        throw new PlumblineError(code, `plumb data ${mode} is about one person or one record.`, {
          hint: 'Give one of --subject, --subject-hash and --record.',
        })
      }
      const done = await withStore(place, world, async (store) => {
        const hashed = subject_hash ?? (subject && (await store.subjectHasher())(project, subject))
        const at = new Date(world.now()).toISOString()
        const kind = record === undefined ? 'subject' : 'record'
        const erasure: Erasure = { project, target: record ?? hashed!, kind, mode, at }
        const event = { actor: 'command line', action: `${kind}.${mode}`, project, target: erasure.target } as const
        const noted = await store.audited({ ...event, outcome: 'done', at }, (inside) => inside.noteErasure(erasure))
        return { records: await store.erase(noted, { signal: world.signal }), target: erasure.target }
      })
      if (world.json) world.emit(done)
      else world.stdout.write(`${done.records} interactions ${mode === 'delete' ? 'deleted' : 'redacted'}\n`)
    },
  })
}

export const dataDelete = erasing('delete', 'delete what is kept of one person', 'Takes the records out whole.')
export const dataRedact = erasing(
  'redact',
  'take one person’s words out of the records',
  'Leaves who paid, which model, how long and how it ended.',
)

export const dataRetain = defineCommand({
  name: 'data retain',
  summary: 'take out what has grown too old, now',
  description: 'What plumb serve does every hour with --retain-content-days and --retain-metadata-days.',
  examples: [
    {
      line: 'plumb data retain --data runs/gateway --content-days 30 --metadata-days 365',
      does: 'words for a month, the rest of a record for a year',
    },
  ],
  config: z.object({
    ...placeFields,
    content_days: days('questions and answers are kept for so long'),
    metadata_days: days('whole records are kept for so long'),
    project: projectSchema.optional().describe('only these records; otherwise those of all'),
  }),
  async run({ content_days: contentDays, metadata_days: metadataDays, project, ...place }, world) {
    if (contentDays === undefined && metadataDays === undefined) {
      throw new PlumblineError('USAGE_MISSING', 'plumb data retain needs --content-days or --metadata-days.', {
        hint: 'For example: plumb data retain --data runs/gateway --content-days 30',
      })
    }
    const result = await withStore(place, world, async (store) => {
      const now = world.now()
      const counts = await store.retain({ contentDays, metadataDays }, { now, project, signal: world.signal })
      await store.audit.append({
        actor: 'command line',
        action: 'data.retain',
        project: project ?? 'default',
        target: `content ${contentDays ?? 'for ever'}, metadata ${metadataDays ?? 'for ever'} (days)`,
        outcome: 'done',
        at: new Date(now).toISOString(),
      })
      return counts
    })
    if (world.json) world.emit(result)
    else world.stdout.write(`${result.redacted} interactions redacted, ${result.deleted} deleted\n`)
  },
})

/** A bar of rows around `work`. */
export async function withProgress<T>(
  title: string,
  world: World,
  work: (onRows: (done: number) => void) => Promise<T>,
): Promise<T> {
  const progress = world.progress(title, undefined, { unit: 'rows' })
  try {
    return await work(progress.set)
  } finally {
    progress.end()
  }
}
