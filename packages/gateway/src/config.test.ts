import { expect, test } from 'vitest'
import { z } from 'zod'
import { policiesOf, policyFields } from './config.ts'

const schema = z.object(policyFields)
const policies = (config: object, env: Record<string, string> = {}) => policiesOf(schema.parse(config), env)
const url = 'http://127.0.0.1:8000/v1'

test('one upstream by its address', () => {
  expect(policies({ upstream: url }, { PLUMBLINE_UPSTREAM_KEY: 'sk' }).upstreams).toEqual([
    { name: 'upstream', url, apiKey: 'sk', isPrivate: false, weight: 1, isFallback: false },
  ])
  expect(policies({ upstream: url }, { PLUMBLINE_UPSTREAM_KEY: '' }).upstreams[0].apiKey).toBeUndefined()
})

test('several, their keys from the environment', () => {
  const upstreams = [
    { name: 'a', url, key_env: 'A_KEY', weight: 3, models: ['m'] },
    { name: 'b', url, fallback: true, private: true },
  ]
  expect(policies({ upstreams, limit_concurrent: 4, total_timeout: 1.5 }, { A_KEY: 'sk-a' })).toMatchObject({
    upstreams: [
      { name: 'a', apiKey: 'sk-a', weight: 3, models: ['m'], isFallback: false },
      { name: 'b', apiKey: undefined, weight: 1, isFallback: true, isPrivate: true },
    ],
    keyLimits: { concurrent: 4, requests_per_minute: undefined },
    totalMs: 1500,
  })
})

test.each([
  [{}, 'USAGE_MISSING', /needs --upstream/],
  [{ upstream: url, upstreams: [{ name: 'a', url }] }, 'USAGE_UPSTREAMS', /an upstream and a list/],
  [
    {
      upstreams: [
        { name: 'a', url },
        { name: 'a', url },
      ],
    },
    'USAGE_UPSTREAMS',
    /Two upstreams are called "a"/,
  ],
  [{ upstreams: [{ name: 'a', url, weight: 0 }] }, 'USAGE_UPSTREAMS', /weight 0/],
  [{ upstreams: [{ name: 'a', url, key_env: 'NO_KEY' }] }, 'USAGE_UPSTREAMS', /NO_KEY, which is not set/],
])('%j is refused', (config, code, message) => {
  expect(() => policies(config)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
})
