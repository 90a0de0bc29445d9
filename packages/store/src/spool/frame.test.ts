import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeFrame, payloadBytes, readFrames } from './frame.ts'

const payloads = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 8 })
const records = (bytes: Buffer) =>
  [...readFrames(bytes)].flatMap((piece) =>
    piece.kind === 'record' ? [Buffer.from(piece.payload).toString('hex')] : [],
  )
const hex = (list: readonly Uint8Array[]) => list.map((one) => Buffer.from(one).toString('hex'))

test('what was written is read', () => {
  fc.assert(
    fc.property(payloads, (list) => {
      const bytes = Buffer.concat(list.map(encodeFrame))
      expect(records(bytes)).toEqual(hex(list))
      const pieces = [...readFrames(bytes)]
      expect(pieces.every(({ kind }) => kind === 'record')).toBe(true)
    }),
  )
})

test('texts and bytes are written as the bytes that they are together', () => {
  const piece = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.uint8Array({ maxLength: 60 }))
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const bytes = Buffer.concat(pieces.map((one) => Buffer.from(one as string)))
      expect(encodeFrame(pieces).equals(encodeFrame(bytes))).toBe(true)
      expect(payloadBytes(pieces)).toBe(bytes.length)
      for (const one of pieces) expect(encodeFrame(one).equals(encodeFrame([one]))).toBe(true)
    }),
    { examples: [[['\ud800']], [['a\udc00b', 'é€😀', new Uint8Array([0, 255])]]] },
  )
})

test('a log that was cut anywhere gives every whole record, and the torn end as damage', () => {
  fc.assert(
    fc.property(payloads, fc.nat(), (list, cut) => {
      const frames = list.map(encodeFrame)
      const whole = Buffer.concat(frames)
      const bytes = whole.subarray(0, cut % (whole.length + 1))
      let kept = 0
      let size = 0
      while (kept < frames.length && size + frames[kept].length <= bytes.length) size += frames[kept++].length
      expect(records(bytes)).toEqual(hex(list.slice(0, kept)))
      const damage = [...readFrames(bytes)].filter(({ kind }) => kind === 'damage')
      expect(damage.map(({ start, end }) => end - start)).toEqual(size < bytes.length ? [bytes.length - size] : [])
    }),
  )
})

test('one flipped byte costs the record that it hits and no other', () => {
  fc.assert(
    fc.property(payloads, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, place, flip) => {
      const frames = list.map(encodeFrame)
      const bytes = Buffer.concat(frames)
      const at = place % bytes.length
      bytes[at] ^= flip
      let hit = 0
      for (let end = frames[0].length; end <= at; end += frames[hit].length) hit++
      expect(records(bytes)).toEqual(hex(list.filter((_, i) => i !== hit)))
    }),
  )
})

test('a length out of all bounds takes no memory', () => {
  const frame = encodeFrame(Buffer.from('x'))
  frame.writeUInt32LE(0xffff_ffff, 4)
  expect([...readFrames(frame)]).toEqual([{ kind: 'damage', start: 0, end: frame.length }])
})
