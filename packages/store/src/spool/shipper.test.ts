import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { feedbackRow } from '../feedback/feedback-row.test-support.ts'
import { recordRow } from '../record-row.test-support.ts'
import { encodeFrame } from './frame.ts'
import { feedbackPayload, gapPayload, interactionPayload, startShipper } from './shipper.ts'
import { until } from './spool.test-support.ts'
import { openSpool, type SpoolOptions } from './spool.ts'

let folder: string
let warnings: string[]
const warn = (text: string) => void warnings.push(text)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shipper-'))
  warnings = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Notes what is stored; answers wait for `answers`. */
function recordingStore(answers: Promise<void>) {
  const stored: string[] = []
  let calls = 0
  const note = (name: string, rows: readonly unknown[]) => void stored.push(...rows.map(() => name))
  return {
    stored,
    calls: () => calls,
    insertInteractions: async (rows: readonly unknown[]) => {
      calls++
      if (rows.length > 0) await answers
      note('answer', rows)
      return rows.length
    },
    insertGaps: async (gaps: readonly unknown[]) => note('gap', gaps),
    insertFeedback: async (rows: readonly unknown[]) => note('feedback', rows),
  }
}

/** An answer that is still on its way into the store, and behind it a batch of a gap and feedback about the answer. */
async function openTwoBatches() {
  const answers = Promise.withResolvers<void>()
  const store = recordingStore(answers.promise)
  const spool = await openSpool(folder, { warn })
  const text = 'x'.repeat(1500)
  const row = recordRow({ json: JSON.stringify({ text }) })
  await spool.append(interactionPayload(row))
  const { createdAt } = row
  await spool.append(gapPayload({ record: randomUUID(), from: createdAt, to: createdAt, count: 1, reason: 'disk' }))
  await spool.append(feedbackPayload(feedbackRow({ interaction: row.record, text })))
  const shipper = startShipper(spool, store, { warn, folder, retryMs: 5, batchBytes: 1000 })
  await until(() => store.calls() === 2)
  return { answers, store, spool, shipper }
}

test('feedback in a batch of its own comes after its answer', async () => {
  const { answers, store, spool, shipper } = await openTwoBatches()
  expect(store.stored).toEqual([])
  answers.resolve()
  await shipper.stop(600_000)
  expect(store.stored).toEqual(['answer', 'gap', 'feedback'])
  expect([shipper.state().shipped, spool.state().bytes]).toEqual([3, 0])
  await spool.close(0)
})

test('a stop while the store fails for an answer: what comes behind it stays in the spool with it', async () => {
  const { answers, store, spool, shipper } = await openTwoBatches()
  const { bytes } = spool.state()
  const stopped = shipper.stop(0)
  answers.reject(new Error('connection refused'))
  await stopped
  expect(store.stored).toEqual([])
  expect(shipper.state()).toEqual({ shipped: 0, refused: 0, isStoreAway: true })
  expect(warnings).toEqual([expect.stringContaining('connection refused')])
  expect(spool.state().bytes).toBe(bytes)
  await spool.close(0)
})

test('a stop holds the process for as long as it has, while the store is away', async () => {
  const of = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
  const program = `
    const { openSpool } = await import(${of('./spool.ts')})
    const { gapPayload, startShipper } = await import(${of('./shipper.ts')})
    const spool = await openSpool(${JSON.stringify(folder)}, { warn: () => {} })
    const at = '2026-01-01T00:00:00.000Z'
    await spool.append(gapPayload({ record: crypto.randomUUID(), from: at, to: at, count: 1, reason: 'disk' }))
    const away = async () => { throw new Error('connection refused') }
    const store = { insertInteractions: away, insertGaps: away, insertFeedback: away }
    const shipper = startShipper(spool, store, { warn: () => {}, folder: ${JSON.stringify(folder)}, retryMs: 50 })
    await shipper.stop(500)
    await spool.close(0)
    console.log('stopped')`
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  expect([stdout, status]).toEqual(['stopped\n', 0])
})

test('a stop ships what is in memory, though the rest of the disk is damage that was looked at ahead', async () => {
  const damaged = encodeFrame(Buffer.alloc(100))
  damaged[damaged.length - 1] ^= 1
  const onDisk = Buffer.concat([encodeFrame(interactionPayload(recordRow())), damaged])
  await writeFile(join(folder, '000000000001.spool'), onDisk)
  const full = () => Promise.reject(new Error('no space left'))
  const spool = await openSpool(folder, { warn, open: full })
  const inMemory = spool.append(interactionPayload(recordRow()))
  await until(() => spool.state().fault !== undefined)
  const store = recordingStore(Promise.resolve())
  const shipper = startShipper(spool, store, { warn, folder, batchBytes: 100 })
  await shipper.stop(600_000)
  expect(store.stored).toEqual(['answer', 'answer'])
  await spool.close(0)
  await inMemory
  expect(spool.state().damaged).toBe(1)
})

const noSpace: SpoolOptions['open'] = () => Promise.reject(new Error('no space left'))
test.each([
  ['the disk', undefined],
  ['memory', noSpace],
])(
  'a refused record of %s that cannot be kept aside holds up no other, and is kept once it can be',
  async (_, open) => {
    const aside = join(folder, 'aside')
    // No folder can be made there.
    await writeFile(aside, '')
    const store = recordingStore(Promise.resolve())
    const spool = await openSpool(folder, { warn, open, retryMs: 5, segmentBytes: 1 })
    const shipper = startShipper(spool, store, { warn, folder, retryMs: 5 })
    await spool.append('none of ours')
    await spool.append(interactionPayload(recordRow()))
    await until(() => store.stored.length === 1)
    expect(shipper.state()).toEqual({ shipped: 1, refused: 1, isStoreAway: false })
    expect(warnings.filter((text) => text.includes('not kept aside yet'))).toHaveLength(1)
    // A kill would find it again.
    const found = await readFile(join(folder, '000000000001.spool'), 'latin1').catch(() => '')
    expect(found.includes('none of ours')).toBe(open === undefined)
    await rm(aside)
    await spool.append(interactionPayload(recordRow()))
    await shipper.stop(600_000)
    const kept = await readdir(aside)
    expect(await Promise.all(kept.map((name) => readFile(join(aside, name), 'utf8')))).toEqual(['none of ours'])
    expect(shipper.state()).toEqual({ shipped: 2, refused: 1, isStoreAway: false })
    await spool.close(0)
  },
)
