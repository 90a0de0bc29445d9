import { expect, test } from 'vitest'
import { decodeBF16, decodeF16, decodeF32, float16Values } from './float-formats.ts'

test('every float16 has the value that IEEE 754 gives it', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> 10) & 31
    const fraction = (bits & 1023) / 1024
    const special = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
    const finite = exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15)
    if (!Object.is(float16Values[bits], exponent === 31 ? special : finite)) expect.fail(`0x${bits.toString(16)}`)
  }
})

test('16-bit floats and float32 land at the element they are sent to', () => {
  const out = new Float32Array(5)
  decodeF16(new Uint8Array(new Uint16Array([0x3e00, 0xc000]).buffer), out, 1)
  expect([...out]).toEqual([0, 1.5, -2, 0, 0])
  decodeBF16(new Uint8Array(new Uint16Array([0x3fc0, 0xc000]).buffer), out, 2)
  expect([...out]).toEqual([0, 1.5, 1.5, -2, 0])
  decodeF32(new Uint8Array(new Float32Array([0.1]).buffer), out, 4)
  expect(out[4]).toBe(Math.fround(0.1))
})
