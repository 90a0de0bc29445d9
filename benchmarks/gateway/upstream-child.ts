/** A model's server that costs as little as Node can: it answers at once, or streams events at a steady pace. */
import { randomUUID } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerLines } from './answer-lines.ts'
import { answerSize, events, monotonicUs, spacingMs } from './traffic.ts'

const head = { created: 1, model: 'm' }
const frame = Buffer.byteLength(JSON.stringify(answerOf(randomUUID(), '')))
const contents = Object.fromEntries(
  Object.values(answerSize).map((size): [string, string] => [String(size), 'a'.repeat(size - frame)]),
)

function answerOf(id: string, content: string) {
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
  return { id, object: 'chat.completion', ...head, choices }
}

const server = createServer((req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk) => chunks.push(chunk))
  req.on('end', () => {
    const body = Buffer.concat(chunks).toString('latin1')
    if (body.includes('"stream":true')) return stream(res)
    const [, size] = /"model":"answer-(\d+)"/.exec(body)!
    const json = JSON.stringify(answerOf(randomUUID(), contents[size]))
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': json.length })
    res.end(json)
  })
})

/** Each event says when it was sent. */
function stream(res: ServerResponse): void {
  const id = randomUUID()
  const event = (delta: object, finish_reason: string | null, more: object) =>
    `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', ...head, choices: [{ index: 0, delta, finish_reason }], ...more })}\n\n`
  res.writeHead(200, { 'content-type': 'text/event-stream' })
  let sent = 0
  const timer = setInterval(() => {
    res.write(event({ content: 'word ' }, null, { sent_us: monotonicUs() }))
    if (++sent < events) return
    clearInterval(timer)
    res.end(`${event({}, 'stop', {})}data: [DONE]\n\n`)
  }, spacingMs)
  res.on('close', () => clearInterval(timer))
}

await answerLines({
  listen: async () => {
    server.keepAliveTimeout = 60_000
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  },
})
