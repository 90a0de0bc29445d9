import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createBodyMemory } from './body-memory.ts'
import { startHarness } from './gateway.test-support.ts'

test('bodies together have a bound; one that is over makes room', () => {
  const open = createBodyMemory(() => 10)
  const [first, second] = [open(), open()]
  first.take(4)
  first.take(4)
  second.take(2)
  expect(() => second.take(1)).toThrow(expect.objectContaining({ status: 503 }))
  first.free()
  first.free()
  second.take(8)
  expect(() => first.take(1)).toThrow(expect.objectContaining({ status: 503 }))
})

test('large bodies that come slowly cannot take any amount of memory, and leave none taken', async () => {
  const harness = await startHarness()
  const gateway = await harness.open({ maxBodyBytes: 1_000 })
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${harness.clientKey}\r\ncontent-length: 1000\r\n\r\n`
  let refused = ''
  const sockets: Socket[] = Array.from({ length: 33 }, () => {
    const socket = connect(gateway.port, '127.0.0.1', () => socket.write(head + ' '.repeat(999)))
    socket.on('data', (data) => {
      refused += data
    })
    return socket.on('error', () => {})
  })
  while (!refused.includes('overloaded')) await sleep(5)
  expect(refused).toContain('503')
  expect(refused.match(/HTTP\/1.1/g)).toHaveLength(1)
  for (const socket of sockets) socket.destroy()
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x'.repeat(900) }] })
  let status = 0
  while (status !== 200) status = (await gateway.post('/v1/chat/completions', body)).status
  await harness.close()
})
