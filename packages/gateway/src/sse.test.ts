import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SseReader } from './sse.ts'

function read(chunks: readonly Buffer[]): [data: string, event: string][] {
  const events: [string, string][] = []
  const reader = new SseReader((data, event) => events.push([data, event]))
  for (const chunk of chunks) reader.push(chunk)
  return events
}

const stream =
  ': comment\n\ndata: one\n\nevent: named\r\ndata: first\r\ndata:second ü🗼\r\n\r\ndata: cr\r\rid: 1\n\ndata\n\ndata: lost'
const expected = [
  ['one', ''],
  ['first\nsecond ü🗼', 'named'],
  ['cr', ''],
  ['', ''],
]

test('events are read as the standard says, cut anywhere', () => {
  const bytes = Buffer.from(stream)
  expect(read([bytes])).toEqual(expected)
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(read([bytes.subarray(0, cut), bytes.subarray(cut)]), `cut at ${cut}`).toEqual(expected)
  }
  expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(expected)
})

test('what is between two events is known', () => {
  const reader = new SseReader(() => {})
  const states = ['data: x', '\n', '\n', ': c', '\n', 'event: y\n', '\n'].map((text) => {
    reader.push(Buffer.from(text))
    return reader.isAtBoundary
  })
  expect(states).toEqual([false, false, true, false, true, false, true])
})

test('any bytes at all are read without a fault, and an endless event is given up', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 })),
      (chunks) => void read(chunks.map((one) => Buffer.from(one))),
    ),
  )
  const reader = new SseReader(() => {})
  for (let i = 0; i < 9; i++) reader.push(Buffer.alloc(2 ** 20, 'a'))
  expect(reader.isOverflown).toBe(true)
})

test.each([2 ** 10, 2 ** 24])('an event of 8 Mi characters is read, also in pieces of %i', (size) => {
  let events = 0
  const reader = new SseReader(() => events++)
  const stream = Buffer.from(`${`data: ${'a'.repeat(2 ** 21 - 6)}\n`.repeat(4)}\n`)
  for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size))
  expect([events, reader.isOverflown]).toEqual([1, false])
})
