/**
 * 16-bit floats to float32. Both directions of a cast are exact here: every float16 and bfloat16 is a float32.
 * Typed arrays are read in the machine's byte order; model files and every machine that Node runs on are little-endian.
 */

/** float32 bit patterns of all 65,536 float16 values (IEEE 754 binary16), built once: a table is faster than arithmetic. */
const float16Bits = buildFloat16Bits()

/** The float32 value of each float16 bit pattern. */
export const float16Values = new Float32Array(float16Bits.buffer)

function buildFloat16Bits(): Uint32Array<ArrayBuffer> {
  const bits = new Uint32Array(65536)
  const value = new Float32Array(1)
  const valueBits = new Uint32Array(value.buffer)
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16
    const exponent = (half >> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) {
      value[0] = fraction * 2 ** -24 // zero and subnormals
      bits[half] = sign | valueBits[0]
    } else {
      // 112 = 127 − 15, the difference of the exponents' biases; 31 means infinity or NaN and stays all ones.
      bits[half] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13)
    }
  }
  return bits
}

/** Copies float32 bytes into `out` from element `at`. */
export function decodeF32(bytes: Uint8Array, out: Float32Array, at: number): void {
  new Uint8Array(out.buffer, out.byteOffset + at * 4, bytes.length).set(bytes)
}

/** Converts float16 bytes into `out` from element `at`. `bytes` starts at an even place of its buffer. */
export function decodeF16(bytes: Uint8Array, out: Float32Array, at: number): void {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1)
  // Moved as integers, so that the payload of a NaN survives.
  const bits = new Uint32Array(out.buffer, out.byteOffset + at * 4, halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = float16Bits[halves[i]]
}

/** Converts bfloat16 bytes into `out` from element `at`: a bfloat16 is the upper half of a float32. */
export function decodeBF16(bytes: Uint8Array, out: Float32Array, at: number): void {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1)
  const bits = new Uint32Array(out.buffer, out.byteOffset + at * 4, halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16
}
