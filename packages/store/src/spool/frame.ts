import { crc32 } from 'node:zlib'

/**
 * A record on disk: mark, length of the payload, CRC-32 of the payload, payload. The mark is no UTF-8, so it cannot
 * stand inside a payload of text, and a reader that met damage finds the next record by it.
 */
const mark = Buffer.from([0x9e, 0x50, 0x4c, 0x01])
const headerBytes = 12

/** A longer one is not written, and a length above it is read as damage before memory is taken. */
export const maxPayloadBytes = 64 * 2 ** 20

/** A record's bytes, or its text, which is kept as UTF-8; or pieces of either, cut between characters, that follow each other. */
export type Payload = Uint8Array | string | readonly (Uint8Array | string)[]

export function piecesOf(payload: Payload): readonly (Uint8Array | string)[] {
  return typeof payload === 'string' || payload instanceof Uint8Array ? [payload] : payload
}

export function payloadBytes(payload: Payload): number {
  return piecesOf(payload).reduce((sum, piece) => sum + Buffer.byteLength(piece), 0)
}

/**
 * In memory of its own, which can be given back. Pieces are written where they belong: a text of all would be one more copy.
 */
export function encodeFrame(payload: Payload): Buffer {
  const frame = Buffer.allocUnsafeSlow(headerBytes + payloadBytes(payload))
  let end = headerBytes
  for (const piece of piecesOf(payload)) {
    if (typeof piece === 'string') end += frame.write(piece, end)
    else {
      frame.set(piece, end)
      end += piece.length
    }
  }
  const written = frame.subarray(headerBytes)
  mark.copy(frame)
  frame.writeUInt32LE(written.length, 4)
  frame.writeUInt32LE(crc32(written), 8)
  return frame
}

export type Piece =
  | { readonly kind: 'record'; readonly payload: Buffer; readonly start: number; readonly end: number }
  | { readonly kind: 'damage'; readonly start: number; readonly end: number }

/** All records of `bytes` in order, and between them what is none. Every byte belongs to one piece. */
export function* readFrames(bytes: Buffer): Generator<Piece> {
  let at = 0
  while (at < bytes.length) {
    const payload = payloadAt(bytes, at)
    if (payload !== undefined) {
      const end = at + headerBytes + payload.length
      yield { kind: 'record', payload, start: at, end }
      at = end
      continue
    }
    const start = at
    do {
      at = bytes.indexOf(mark, at + 1)
    } while (at >= 0 && payloadAt(bytes, at) === undefined)
    if (at < 0) at = bytes.length
    yield { kind: 'damage', start, end: at }
  }
}

function payloadAt(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length - at < headerBytes || bytes.compare(mark, 0, mark.length, at, at + mark.length) !== 0)
    return undefined
  const length = bytes.readUInt32LE(at + 4)
  if (length > maxPayloadBytes || length > bytes.length - at - headerBytes) return undefined
  const payload = bytes.subarray(at + headerBytes, at + headerBytes + length)
  return crc32(payload) === bytes.readUInt32LE(at + 8) ? payload : undefined
}
