import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createMetricsLog } from './metrics-log.ts'

const folder = mkdtempSync(join(tmpdir(), 'metrics-log-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0
const logOf = (text: string) => {
  const path = join(folder, `${count++}.jsonl`)
  writeFileSync(path, text)
  return { path, log: createMetricsLog(path) }
}
const lines = (from: number, to: number, loss = (step: number) => step / 2) =>
  Array.from({ length: to - from + 1 }, (_, i) => {
    const step = from + i
    return `${JSON.stringify({ global_step: step, epoch: step / 10, loss: loss(step), num_tokens: 7 })}\n`
  }).join('')
const stepsOf = async (log: ReturnType<typeof createMetricsLog>, name = 'loss') =>
  (await log.read()).curves.find(({ metric }) => metric === name)?.points.map(({ step }) => step)

test('a log that grows is read on; a line that is half written waits for its end', async () => {
  const { path, log } = logOf(`${lines(1, 3)}{"global_step":4,"lo`)
  expect((await log.read()).curves).toEqual([
    {
      metric: 'loss',
      seed: null,
      band: null,
      points: [
        { step: 1, value: 0.5 },
        { step: 2, value: 1 },
        { step: 3, value: 1.5 },
      ],
    },
  ])
  appendFileSync(path, 'ss":2}\n')
  expect(await stepsOf(log)).toEqual([1, 2, 3, 4])
  expect((await log.read()).remarks).toEqual([])
})

test('a log that was cut back, and grew again over where the reader was, is read anew', async () => {
  const { path, log } = logOf(lines(1, 5))
  await log.read()
  truncateSync(path, lines(1, 2).length)
  expect(await stepsOf(log)).toEqual([1, 2])
  appendFileSync(path, lines(3, 9))
  expect(await stepsOf(log)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  writeFileSync(
    path,
    lines(1, 12, () => 7),
  )
  const { curves } = await log.read()
  expect(curves[0].points.map(({ value }) => value)).toEqual(Array.from({ length: 12 }, () => 7))
  rmSync(path)
  expect((await log.read()).curves).toEqual([])
})

test('many who ask at once get the same, each line once', async () => {
  const { log } = logOf(lines(1, 50))
  const all = await Promise.all(Array.from({ length: 5 }, () => stepsOf(log)))
  for (const steps of all) expect(steps).toHaveLength(50)
})

test('numbers that are none are gaps; lines that are no metrics are counted', async () => {
  const { log } = logOf(
    [
      '{"global_step":1,"loss":"NaN","grad_norm":1}',
      '{"global_step":2,"loss":1e999,"grad_norm":"big","__proto__":3,"constructor":4}',
      'null',
      '[1]',
      '{"loss":3}',
      '{"global_step":"3","loss":3}',
      '\u0000\u0000',
      '{"global_step":4,"loss":1}',
      '',
    ].join('\n'),
  )
  const { curves, remarks } = await log.read()
  const of = (name: string) => curves.find(({ metric }) => metric === name)?.points
  expect(of('loss')).toEqual([
    { step: 1, value: null },
    { step: 2, value: null },
    { step: 4, value: 1 },
  ])
  expect(of('grad_norm')).toEqual([{ step: 1, value: 1 }])
  expect(of('constructor')).toEqual([{ step: 2, value: 4 }])
  expect(remarks).toEqual(['Lines of metrics.jsonl that are no metrics: 5.'])
})

test('a log of a million names, and one line without an end, cost no more than the caps', async () => {
  const row = { global_step: 1, ...Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`m${i}`, i])) }
  const { log } = logOf(`${JSON.stringify(row)}\n${'x'.repeat(600 * 1024)}\n${lines(2, 3)}`)
  const { curves, remarks } = await log.read()
  expect(curves).toHaveLength(100)
  expect(remarks).toHaveLength(2)
})

test('of more than 16 MiB the first are read, in few points', async () => {
  const line = lines(1, 1)
  const times = Math.ceil((17 * 2 ** 20) / line.length)
  const { log } = logOf(line.repeat(times))
  const { curves, remarks } = await log.read()
  expect(curves[0].points.length).toBeLessThanOrEqual(200)
  expect(curves[0].band).toMatch(/^lowest and highest of each \d+ values$/)
  expect(remarks).toEqual([expect.stringMatching(/^Of metrics.jsonl the first 16777216 of \d+ bytes are shown/)])
})
