import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startLineProcess } from '../line-process.ts'

const turns = fileURLToPath(new URL('./turns.ts', import.meta.url))

/** Answers each request with what it was and how often a timer of its own fired while it waited. */
const echo = `
import { answer, createRequests } from ${JSON.stringify(turns)}
let fired = 0
const timer = setInterval(() => fired++, 1)
const nextRequest = createRequests()
for (;;) {
  const request = nextRequest()
  if (request === undefined) break
  answer(request.op === 'fail' ? { error: 'as asked' } : { request, fired })
}
clearInterval(timer)
`

test('requests come one by one, long ones whole, and nothing moves between them', async () => {
  const child = startLineProcess(process.execPath, ['--input-type=module', '-e', echo])
  try {
    const long = 'ä'.repeat(200_000)
    expect(await child.call('first', { long })).toEqual({ request: { op: 'first', long }, fired: 0 })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await child.call('second')).toEqual({ request: { op: 'second' }, fired: 0 })
    await expect(child.call('fail')).rejects.toMatchObject({ code: 'PEER_FAILED' })
  } finally {
    await child.close()
  }
  await expect(child.call('late')).rejects.toMatchObject({ code: 'PEER_FAILED' })
})
