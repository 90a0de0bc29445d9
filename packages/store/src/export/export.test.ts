import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Interaction, interactionSchema } from '@plumbline/contracts'
import { parquetReadObjects } from 'hyparquet'
import { beforeAll, expect, test } from 'vitest'
import { writeFileWhole } from '../files.ts'
import { recordRow } from '../record-row.test-support.ts'
import type { Store } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import { interactionColumns } from './columns.ts'
import type { ExportOptions } from './export.ts'

function interaction(index: number): Interaction {
  const record = randomUUID()
  return {
    id: `chatcmpl-${record}`,
    record,
    project: index % 2 === 0 ? 'even' : 'odd',
    key_id: 'key_1',
    created_at: `2026-01-${String(index + 1).padStart(2, '0')}T01:02:03.456Z`,
    endpoint: '/v1/chat/completions',
    upstream: 'http://h',
    upstream_request_id: null,
    request_model: 'm',
    model: index === 0 ? null : 'm',
    stream: index % 3 === 0,
    status: index === 1 ? null : 200,
    termination: 'completed',
    subjects: index === 2 ? ['anna'] : [],
    redaction: null,
    request: { messages: [{ role: 'user', content: `q\u2028 ${index}` }] },
    text: `answer ${index} "ü😀" \u0000`,
    choices: [],
    usage: { total_tokens: index },
    error: null,
    timings: { headers_ms: 1.5, first_token_ms: null, total_ms: 20.25 },
    guards: [],
    request_bytes: 10,
    response_bytes: 20,
    notes: [],
  }
}

describeStores('export', (suite) => {
  let store: Store
  const records = Array.from({ length: 20 }, (_, index) => interaction(index))
  beforeAll(async () => {
    store = suite.store()
    for (const one of records) {
      // As a client may send it: with line ends inside.
      const json = JSON.stringify(one, null, 2)
      await store.insertInteractions([recordRow({ ...one, createdAt: one.created_at, json })])
    }
  })
  const exported = async <T>(options: ExportOptions, read: (path: string) => Promise<T>) => {
    const folder = await mkdtemp(join(tmpdir(), 'export-'))
    try {
      const path = join(folder, 'out')
      await writeFileWhole(path, { overwrite: false }, (write) => store.exportInteractions(write, options))
      return await read(path)
    } finally {
      await rm(folder, { recursive: true })
    }
  }
  const lines = (options: Omit<ExportOptions, 'format'>) =>
    exported({ format: 'jsonl', ...options }, async (path) => {
      const text = await readFile(path, 'utf8')
      expect(text).not.toMatch(/[\u2028\u2029]/)
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    })

  test('JSON lines: every record, oldest first; one project; from and until', async () => {
    expect(await lines({})).toEqual(records)
    expect(await lines({ project: 'odd' })).toEqual(records.filter(({ project }) => project === 'odd'))
    const since = records[5].created_at
    const until = records[9].created_at
    expect(await lines({ since, until })).toEqual(records.slice(5, 9))
    expect(await lines({ project: 'none' })).toEqual([])
  })

  test('Parquet: another program’s reader sees the same', async () => {
    const rows = await exported({ format: 'parquet' }, async (path) => {
      const bytes = await readFile(path)
      return parquetReadObjects({
        file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
      })
    })
    expect(rows).toHaveLength(records.length)
    for (const [index, row] of rows.entries()) {
      const { request, usage, created_at, timings, text, model, status, stream, subjects } = records[index]
      expect(row).toMatchObject({
        text,
        model,
        status,
        stream,
        created_at: new Date(created_at),
        total_ms: timings.total_ms,
        first_token_ms: null,
      })
      expect(JSON.parse(row.request)).toEqual(request)
      expect(JSON.parse(row.usage)).toEqual(usage)
      expect(JSON.parse(row.subjects)).toEqual(subjects)
    }
  })

  test('nothing of a record is left out of the columns', () => {
    const fields = Object.keys(interactionSchema.shape).filter((name) => name !== 'timings')
    expect(Object.keys(interactionColumns)).toEqual(expect.arrayContaining(fields))
  })

  test('an empty export is a file that can be read', async () => {
    const rows = await exported({ format: 'parquet', project: 'none' }, async (path) => {
      const bytes = await readFile(path)
      return parquetReadObjects({
        file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
      })
    })
    expect(rows).toEqual([])
  })
})
