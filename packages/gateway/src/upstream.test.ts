import fc from 'fast-check'
import { expect, test } from 'vitest'
import { answerHeaders, clientHeaders, withOwnHeaders } from './upstream.ts'

test('headers of an answer that is passed on are those of one that is replaced, each once', () => {
  const theirs = fc.constantFrom('content-type', 'set-cookie', 'x-ratelimit-limit-requests', 'x-evil', 'retry-after')
  const ours = fc.constantFrom('x-request-id', 'x-ratelimit-limit-requests', 'x-ratelimit-limit-tokens')
  fc.assert(
    fc.property(fc.dictionary(theirs, fc.string()), fc.dictionary(ours, fc.string()), (upstream, own) => {
      const pairs = answerHeaders(upstream, own)
      const names = pairs.filter((_, i) => i % 2 === 0)
      expect(Object.fromEntries(names.map((name, i) => [name, pairs[2 * i + 1]]))).toEqual(
        withOwnHeaders(clientHeaders(upstream), own),
      )
      expect(new Set(names).size).toBe(names.length)
    }),
  )
})
