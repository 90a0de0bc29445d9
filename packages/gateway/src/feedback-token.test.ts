import { openStore } from '@plumbline/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openFeedbackTokens, signFeedback, verifyFeedback } from './feedback-token.ts'

const secret = {
  id: 'fs_abcdefghijkl',
  purpose: 'feedback',
  secret: Buffer.alloc(32, 7).toString('base64url'),
  createdAt: '2026-01-01T00:00:00.000Z',
}
const claim = { record: '01890a5d-ac96-774b-bcce-b302099a8057', project: 'default', expiresAt: 2_000_000 }

test('what was signed is read back, until it expires', () => {
  const token = signFeedback(claim, secret)
  expect(token).toMatch(/^plf1\.fs_abcdefghijkl\.01890a5d[\w-]+\.default\.2000\.[\w-]{43}$/)
  expect(verifyFeedback(token, [secret], 1_999_999)).toEqual(claim)
  expect(verifyFeedback(token, [secret], 2_000_000)).toBe('expired')
  expect(verifyFeedback(token, [], 0)).toBe('invalid')
  expect(verifyFeedback(token, [{ ...secret, secret: Buffer.alloc(32, 8).toString('base64url') }], 0)).toBe('invalid')
})

test('one character more, less or other is no token', () => {
  const token = signFeedback(claim, secret)
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.string({ maxLength: 2 }), (place, text) => {
      const other = token.slice(0, place) + text + token.slice(place + 1)
      fc.pre(other !== token)
      expect(verifyFeedback(other, [secret], 0)).toBe('invalid')
    }),
    { numRuns: 500 },
  )
})

test('any text at all is no token, however long', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(verifyFeedback(text, [secret], 0)).toBe('invalid')
    }),
  )
  expect(verifyFeedback(signFeedback(claim, secret) + 'A'.repeat(1e6), [secret], 0)).toBe('invalid')
})

test('secrets: made once, kept in the store, renewed; an old one is good for as long as its tokens', async () => {
  const store = await openStore('memory')
  let now = Date.parse('2026-01-01T00:00:00Z')
  const days = (count: number) => count * 86_400_000
  const first = await openFeedbackTokens(store, () => now)
  const token = first.sign(claim.record, 'default')
  const second = await openFeedbackTokens(store, () => now)
  expect(second.verify(token)).toEqual({ record: claim.record, project: 'default', expiresAt: now + days(30) })
  now += days(10)
  await first.rotate()
  const later = first.sign(claim.record, 'default')
  expect(second.verify(later)).toBe('invalid')
  await second.refresh()
  expect([second.verify(token), second.verify(later)]).toMatchObject([{ project: 'default' }, { project: 'default' }])
  now += days(21)
  await second.refresh()
  expect([second.verify(token), second.verify(later)]).toMatchObject(['expired', { project: 'default' }])
  now += days(10)
  await second.refresh()
  expect(second.verify(token)).toBe('invalid')
  expect(await store.listSecrets('feedback')).toHaveLength(2)
  await store.close()
}, 600_000)
