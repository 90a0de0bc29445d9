/** The load generator, in a process of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Dispatcher, Pool } from 'undici'
import { median } from '../interleave.ts'
import { answerLines } from './answer-lines.ts'
import {
  type ClosedLoopAnswer,
  events,
  monotonicUs,
  type OpenLoopAnswer,
  type StreamsAnswer,
  streamBody,
  type Target,
} from './traffic.ts'

interface Answer {
  readonly isGood: boolean
  /** The status, or what broke. */
  readonly outcome: string
  readonly id: string
}

/** One request. Resolves when its answer is whole, or broken. */
function ask(pool: Pool, target: Target, body: string, onData?: (chunk: Buffer) => void): Promise<Answer> {
  return new Promise((resolve) => {
    let answer: Answer = { isGood: false, outcome: 'no answer', id: '' }
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => {},
      onResponseStart: (_, status, headers) => {
        answer = { isGood: status === 200, outcome: String(status), id: String(headers['x-request-id'] ?? '') }
      },
      onResponseData: (_, chunk) => onData?.(chunk),
      onResponseEnd: () => resolve(answer),
      onResponseError: (_, error) => {
        const outcome = (error as NodeJS.ErrnoException).code ?? error.message
        resolve({ isGood: false, outcome, id: '' })
      },
    }
    const headers = { 'content-type': 'application/json', ...target.headers }
    pool.dispatch({ method: 'POST', path: '/v1/chat/completions', headers, body }, handler)
  })
}

const open = (target: Target, connections: number) =>
  new Pool(target.origin, { connections, pipelining: 1, headersTimeout: 120_000, bodyTimeout: 120_000 })

/**
 * Requests at a fixed rate, whether or not answers come. A request's time begins when it was due: one that had to wait
 * since this process or a connection was busy has waited, so nothing slow is left out (coordinated omission).
 */
async function openLoop(request: {
  target: Target
  body: string
  rate: number
  seconds: number
  wantsIds: boolean
}): Promise<OpenLoopAnswer> {
  const { target, body, rate, seconds, wantsIds } = request
  const pool = open(target, 256)
  const total = Math.round(rate * seconds)
  const times: number[] = []
  const ids: string[] = []
  let failed = 0
  const failures: Record<string, number> = {}
  const asked: Promise<void>[] = []
  const begun = performance.now()
  const send = async (due: number) => {
    const { isGood, outcome, id } = await ask(pool, target, body)
    times.push(performance.now() - due)
    if (!isGood) {
      failed++
      failures[outcome] = (failures[outcome] ?? 0) + 1
    } else if (wantsIds) ids.push(id)
  }
  while (asked.length < total) {
    for (;;) {
      const due = begun + (asked.length * 1000) / rate
      if (due > performance.now() || asked.length >= total) break
      asked.push(send(due))
    }
    await sleep(1)
  }
  await Promise.all(asked)
  const achievedRate = total / ((performance.now() - begun) / 1000)
  await pool.close()
  const sorted = times.toSorted((a, b) => a - b)
  const p99 = sorted[Math.ceil(total * 0.99) - 1]
  return { p50: median(sorted), p99, sent: total, achievedRate, failed, failures, ids }
}

/** As many requests as so many connections bear, one after the other on each. */
async function closedLoop(request: {
  target: Target
  body: string
  connections: number
  seconds: number
  /** Ends at the first failure, with the ids of all answers: for a server that is going to be killed. */
  untilBroken: boolean
}): Promise<ClosedLoopAnswer> {
  const { target, body, connections, seconds, untilBroken } = request
  const pool = open(target, connections)
  const ids: string[] = []
  let answered = 0
  let failed = 0
  const begun = performance.now()
  const passed = () => (performance.now() - begun) / 1000
  const client = async () => {
    while (passed() < seconds && !(untilBroken && failed > 0)) {
      const { isGood, id } = await ask(pool, target, body)
      if (!isGood) failed++
      else answered++
      if (isGood && untilBroken) ids.push(id)
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  const took = passed()
  await pool.destroy()
  return { answered, failed, seconds: took, ids }
}

/** Streamed answers one after the other on each connection, which begin `apartMs` after each other: when their events come. */
async function streams(request: {
  target: Target
  connections: number
  each: number
  apartMs: number
}): Promise<StreamsAnswer> {
  const { target, connections, each, apartMs } = request
  const pool = open(target, connections)
  const firsts: number[] = []
  const lags: number[] = []
  let failed = 0
  const one = async () => {
    const begun = monotonicUs()
    let seen = 0
    const { isGood } = await ask(pool, target, streamBody, (chunk) => {
      const now = monotonicUs()
      for (const [, sent] of chunk.toString('latin1').matchAll(/"sent_us":(\d+)/g)) {
        if (seen++ === 0) firsts.push(now - begun)
        else lags.push(now - Number(sent))
      }
    })
    if (!isGood || seen !== events) failed++
  }
  const client = async (_: unknown, number: number) => {
    await sleep(number * apartMs)
    for (let i = 0; i < each; i++) await one()
  }
  await Promise.all(Array.from({ length: connections }, client))
  await pool.close()
  return { firstMs: median(firsts) / 1000, nextMs: median(lags) / 1000, failed }
}

await answerLines({
  open: (request) => openLoop(request as unknown as Parameters<typeof openLoop>[0]),
  closed: (request) => closedLoop(request as unknown as Parameters<typeof closedLoop>[0]),
  streams: (request) => streams(request as unknown as Parameters<typeof streams>[0]),
})
