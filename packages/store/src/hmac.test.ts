import { createHmac, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { hmacSha256 } from './hmac.ts'

test('the code of a text is that of Node, whatever the length of either and in any order', () => {
  for (const keyBytes of [0, 1, 31, 32, 63, 64, 65, 600]) {
    const key = randomBytes(keyBytes)
    const sign = hmacSha256(key)
    for (const length of [0, 600, 1, 512, 55, 513, 64, 5_000, 3]) {
      const text = 'é日a'.repeat(length).slice(0, length)
      expect(sign(text)).toBe(createHmac('sha256', key).update(text).digest('base64url'))
    }
  }
})
