/**
 * TensorBoard's event files: protobuf messages (tensorflow/core/util/event.proto, framework/summary.proto) in TFRecord
 * frames (tensorflow/core/lib/io/record_writer.h). The few fields that are written are encoded here by hand.
 */

/** A number under a name, e.g. `["loss", 2.5]`. */
export type Scalar = readonly [tag: string, value: number]

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

/** DataType.DT_STRING of tensorflow/core/framework/types.proto. */
const DT_STRING = 7

/** Name of a new event file. `nowMs` is milliseconds since 1970. TensorBoard looks for "tfevents" in it. */
export function eventFileName(nowMs: number, host: string, pid: number): string {
  const seconds = String(Math.floor(nowMs / 1000)).padStart(10, '0')
  return `events.out.tfevents.${seconds}.${host.replaceAll(/[^\w-]/g, '-')}.${pid}.0`
}

/** The record that every event file starts with. */
export function encodeFileVersion(nowMs: number): Uint8Array {
  return frame(event(nowMs, 0, bytesField(3, utf8('brain.Event:2'))))
}

/** One record with all scalars of a step. NaN and infinities are kept: TensorBoard marks them in the curve. */
export function encodeScalars(nowMs: number, step: number, scalars: readonly Scalar[]): Uint8Array {
  const values = scalars.map(([tag, value]) => {
    const float = new Uint8Array(4)
    new DataView(float.buffer).setFloat32(0, value, true)
    return bytesField(1, concat([bytesField(1, utf8(tag)), key(2, FIXED32), float]))
  })
  return frame(event(nowMs, step, bytesField(5, concat(values))))
}

/** One record with a table of texts for the Text tab. `rows` are of one length; the first holds the titles. */
export function encodeTextTable(
  nowMs: number,
  step: number,
  tag: string,
  rows: readonly (readonly string[])[],
): Uint8Array {
  const size = (length: number) => bytesField(2, concat([key(1, VARINT), varint(length)]))
  const shape = concat([size(rows.length), size(rows[0]?.length ?? 0)])
  const cells = rows.flat().map((text) => bytesField(8, utf8(text)))
  const tensor = concat([key(1, VARINT), varint(DT_STRING), bytesField(2, shape), ...cells])
  // SummaryMetadata.plugin_data.plugin_name
  const metadata = bytesField(1, bytesField(1, utf8('text')))
  const value = concat([bytesField(1, utf8(tag)), bytesField(9, metadata), bytesField(8, tensor)])
  return frame(event(nowMs, step, bytesField(5, bytesField(1, value))))
}

/** Event: wall_time in seconds, step, and the field that says what happened. */
function event(nowMs: number, step: number, what: Uint8Array): Uint8Array {
  const wallTime = new Uint8Array(8)
  new DataView(wallTime.buffer).setFloat64(0, nowMs / 1000, true)
  return concat([key(1, FIXED64), wallTime, key(2, VARINT), varint(step), what])
}

/** TFRecord: length, its checksum, the data, its checksum; all little-endian. */
function frame(data: Uint8Array): Uint8Array {
  const framed = new Uint8Array(data.length + 16)
  const view = new DataView(framed.buffer)
  view.setBigUint64(0, BigInt(data.length), true)
  view.setUint32(8, maskedCrc(framed.subarray(0, 8)), true)
  framed.set(data, 12)
  view.setUint32(12 + data.length, maskedCrc(data), true)
  return framed
}

/** Masked as in tensorflow/core/lib/hash/crc32c.h, so that a checksum of bytes that hold checksums stays good. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  // Castagnoli's polynomial, bits reversed.
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

/** CRC-32C (RFC 3720, appendix B.4) as an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255] ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

function key(field: number, wireType: number): Uint8Array {
  return Uint8Array.of((field << 3) | wireType)
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return concat([key(field, BYTES), varint(bytes.length), bytes])
}

/** Seven bits a byte, lowest first. Division instead of shifts: a step may pass 2^32. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Uint8Array.from([...bytes, rest])
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text)
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
