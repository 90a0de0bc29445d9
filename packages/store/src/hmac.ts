import { hash } from 'node:crypto'

const blockBytes = 64
const digestBytes = 32

/**
 * HMAC-SHA256 (RFC 2104), as base64url. Two hashes in one call each: Node's own Hmac makes an object of OpenSSL's for every
 * text, which takes twice as long and leaves it to the collector.
 */
export function hmacSha256(key: Uint8Array): (text: string) => string {
  const inner = Buffer.alloc(blockBytes + 512, 0x36)
  const outer = Buffer.alloc(blockBytes + digestBytes, 0x5c)
  const short = key.length > blockBytes ? hash('sha256', key, 'buffer') : key
  for (const [i, byte] of short.entries()) {
    inner[i] ^= byte
    outer[i] ^= byte
  }
  return (text) => {
    const length = Buffer.byteLength(text)
    const whole = length <= inner.length - blockBytes ? inner : Buffer.concat([inner], blockBytes + length)
    whole.write(text, blockBytes)
    outer.write(hash('sha256', whole.subarray(0, blockBytes + length), 'binary'), blockBytes, 'binary')
    return hash('sha256', outer, 'base64url')
  }
}
