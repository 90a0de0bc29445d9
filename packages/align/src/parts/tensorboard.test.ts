import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEvents } from './event-file.test-support.ts'
import { crc32c, encodeFileVersion, encodeScalars, encodeTextTable, eventFileName } from './tensorboard.ts'

test('crc32c gives the values of RFC 3720, B.4', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test('what is written is read back', () => {
  const scalars = fc.array(fc.tuple(fc.string(), fc.float()), { maxLength: 5 })
  fc.assert(
    fc.property(fc.nat(2 ** 45), fc.nat(Number.MAX_SAFE_INTEGER), scalars, (nowMs, step, values) => {
      const [event, ...rest] = readEvents(encodeScalars(nowMs, step, values))
      expect(rest).toEqual([])
      expect(event).toMatchObject({ wallTime: nowMs / 1000, step, scalars: values })
    }),
  )
  const rows = [
    ['prompt', 'completion'],
    ['a'.repeat(300), 'ü'],
  ]
  const [{ texts }] = readEvents(encodeTextTable(0, 3, 'samples', rows))
  expect(texts).toEqual([{ tag: 'samples', plugin: 'text', shape: [2, 2], cells: rows.flat() }])
})

test('a changed byte is seen', () => {
  const record = encodeScalars(5, 6, [['loss', 1.5]])
  fc.assert(
    fc.property(fc.nat(record.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = record.slice()
      damaged[at] ^= change
      expect(() => readEvents(damaged)).toThrow()
    }),
  )
})

test('TensorBoard reads the file', async (context) => {
  const python = process.env.TENSORBOARD_PYTHON ?? 'python3'
  if (spawnSync(python, ['-c', 'import tensorboard']).status !== 0) {
    return context.skip('no Python with tensorboard; TENSORBOARD_PYTHON names one')
  }
  const folder = await mkdtemp(join(tmpdir(), 'plumbline-events-'))
  const file = [
    encodeFileVersion(1_700_000_000_000),
    encodeScalars(1_700_000_001_500, 10, [
      ['loss', 2.5],
      ['objective/kl', Number.NaN],
    ]),
    encodeScalars(1_700_000_002_000, 2 ** 40, [['loss', -Infinity]]),
    encodeTextTable(1_700_000_002_000, 20, 'samples', [['prompt'], ['hello']]),
  ]
  await writeFile(join(folder, eventFileName(1_700_000_000_000, 'a.host', 12)), Buffer.concat(file))
  const script = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={"tensors": 0}); a.Reload()
scalars = {t: [[e.wall_time, e.step, repr(e.value)] for e in a.Scalars(t)] for t in a.Tags()["scalars"]}
texts = {t: [[e.step, [s.decode() for s in e.tensor_proto.string_val], a.SummaryMetadata(t).plugin_data.plugin_name] for e in a.Tensors(t)] for t in a.Tags()["tensors"]}
print(json.dumps([scalars, texts]))`
  const { stdout, stderr } = spawnSync(python, ['-c', script, folder], { encoding: 'utf8' })
  await rm(folder, { recursive: true })
  expect(JSON.parse(stdout || `"${stderr}"`)).toEqual([
    {
      loss: [
        [1_700_000_001.5, 10, '2.5'],
        [1_700_000_002, 2 ** 40, '-inf'],
      ],
      'objective/kl': [[1_700_000_001.5, 10, 'nan']],
    },
    { samples: [[20, ['prompt', 'hello'], 'text']] },
  ])
})
