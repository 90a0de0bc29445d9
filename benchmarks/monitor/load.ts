import { connect } from 'node:net'

export interface Caller {
  readonly port: number
  readonly key: string
  readonly path: string
  readonly connections: number
  /** The next body. */
  readonly body: () => string
}

/**
 * Posts for so long, on each connection one after another. Gives how many were answered with 200; throws at any other
 * answer. Sockets without an HTTP client: it would take more of the two cores than the server that is measured.
 */
export async function callForSeconds(caller: Caller, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1000
  const counts = await Promise.all(Array.from({ length: caller.connections }, () => callUntil(caller, end)))
  return counts.reduce((sum, count) => sum + count, 0)
}

function callUntil({ port, key, path, body }: Caller, end: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    let count = 0
    let received = ''
    const head = `POST ${path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n`
    const send = () => {
      const json = body()
      socket.write(`${head}content-length: ${json.length}\r\n\r\n${json}`)
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const headEnd = received.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1])
      if (headEnd < 0 || received.length < headEnd + 4 + length) return
      if (!received.startsWith('HTTP/1.1 200 ')) {
        socket.destroy()
        reject(new Error(`answered ${received}`))
        return
      }
      received = ''
      const isOver = performance.now() >= end
      if (!isOver) {
        count++
        send()
        return
      }
      socket.destroy()
      resolve(count)
    })
  })
}
