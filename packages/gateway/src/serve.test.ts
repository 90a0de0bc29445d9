import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { policiesOf, policyFields } from './config.ts'
import { type ServeOptions, serve } from './serve.ts'

test('the first key is not lost with a start that fails', {
  timeout: 240_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'serve-'))
  const policies = policiesOf(z.object(policyFields).parse({ upstream: 'http://127.0.0.1:9/v1' }), {})
  const start = (more: Partial<ServeOptions> = {}) =>
    serve({
      folder,
      databaseUrl: undefined,
      host: '127.0.0.1',
      port: 0,
      policies,
      reread: async () => policies,
      adminKey: undefined,
      feedbackDays: 1,
      recordUntil: 'written',
      recordPatienceMs: 1_000,
      drainMs: 0,
      retention: undefined,
      routes: [],
      services: [],
      version: '0.0.0',
      now: Date.now,
      warn: () => {},
      ...more,
    })
  const other = createServer()
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done))
  const { port } = other.address() as AddressInfo
  await expect(start({ port })).rejects.toMatchObject({ code: 'PORT_UNAVAILABLE' })
  other.close()

  const serving = await start()
  expect(serving.newAdminKey).toMatch(/^plk_/)
  await serving.stop()
  await rm(folder, { recursive: true })
})
