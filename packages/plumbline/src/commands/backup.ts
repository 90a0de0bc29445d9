import { resolve } from 'node:path'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { placeFields, withPlace, withStore } from '../data-place.ts'
import { missingFile, statIfPresent } from '../missing-file.ts'
import type { World } from '../world.ts'
import { withProgress } from './data.ts'

export const backup = defineCommand({
  name: 'backup',
  summary: 'write everything that is kept to one file',
  description:
    'Records, keys (their hashes), jobs, audit log, as they are at one moment. One format for the embedded store and for PostgreSQL: each can be restored into the other. A PostgreSQL may be in use; an embedded store must not.',
  examples: [
    { line: 'plumb backup --data runs/gateway --output gateway.jsonl.gz', does: 'the embedded store' },
    {
      line: 'plumb backup --database postgres://plumbline@db/plumbline --output gateway.jsonl.gz',
      does: 'a PostgreSQL, while it is in use',
    },
  ],
  config: z.object({
    ...placeFields,
    output: z.string().min(1).describe('the file; a name that ends in .gz is compressed'),
    overwrite: z.boolean().default(false).describe('replace a file that is there'),
  }),
  async run({ output, overwrite, ...place }, world) {
    const { writeFileWhole } = await import('@plumbline/store')
    const file = resolve(world.cwd, output)
    const result = await withStore(place, world, (store) =>
      withProgress('backup', world, (onRows) =>
        writeFileWhole(file, { overwrite }, (write) =>
          store.backup(write, { now: world.now(), onRows, signal: world.signal }),
        ),
      ),
    )
    report(result, file, world)
  },
})

export const restore = defineCommand({
  name: 'restore',
  summary: 'fill an empty store from a backup',
  description:
    'All or nothing, checked by a checksum. A backup of an earlier version is brought up to date. People who were deleted after the backup was made are in it again: delete them again.',
  examples: [
    { line: 'plumb restore --input gateway.jsonl.gz --data runs/restored', does: 'into a new embedded store' },
    {
      line: 'plumb restore --input gateway.jsonl.gz --database postgres://plumbline@db/plumbline',
      does: 'into an empty PostgreSQL',
    },
  ],
  config: z.object({ ...placeFields, input: z.string().min(1).describe('a file that plumb backup wrote') }),
  async run({ input, ...place }, world) {
    const { readLines, restoreStore } = await import('@plumbline/store')
    const file = resolve(world.cwd, input)
    if ((await statIfPresent(file))?.isFile() !== true) throw await missingFile('BACKUP_MISSING', input, world.cwd)
    const result = await withPlace(place, world, (storePlace) =>
      withProgress('restore', world, (onRows) =>
        restoreStore(storePlace, readLines(file), { onRows, signal: world.signal }),
      ),
    )
    report(result, file, world)
  },
})

interface Result {
  readonly rows: Readonly<Record<string, number>>
  readonly auditBrokenAt: number | undefined
}

function report({ rows, auditBrokenAt }: Result, file: string, world: World): void {
  if (auditBrokenAt !== undefined) {
    world.log.warn(`The audit log was changed by hand: entry ${auditBrokenAt} does not follow from the one before.`)
  }
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0)
  if (world.json) world.emit({ file, rows, audit_broken_at: auditBrokenAt ?? null })
  else world.stdout.write(`${total} rows, ${rows.interactions ?? 0} of them interactions: ${file}\n`)
}
