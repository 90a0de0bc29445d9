/** Tokens a second of the server of a local model: one client, and eight at once. */
import { availableParallelism } from 'node:os'
import { PlumblineError } from '@plumbline/contracts'
import { startLocalModel } from '@plumbline/inference'
import { plumblineHome, pullModel } from '@plumbline/models'
import { type BenchOptions, defineBench, type Section } from './bench.ts'
import type { Figure } from './figure.ts'
import { interleave, timed } from './interleave.ts'

const name = 'smollm2-135m-instruct'
const NEW_TOKENS = 64
const clients = [1, 8] as const

const figures = clients.map(
  (count): Figure => ({
    name: `local_model_${count}`,
    title: `local model, tokens of ${count} ${count === 1 ? 'client' : 'clients at once'}`,
    unit: 'tokens/s',
    better: 'higher',
  }),
)

/** Questions that differ, sampled: a greedy loop would be guessed ahead, and flatter the single client. */
async function tokensPerSecond(url: string, apiKey: string, count: number): Promise<number> {
  const ask = async (index: number): Promise<number> => {
    const content = `Tell me something about the number ${index + 1}.`
    const question = { model: name, messages: [{ role: 'user', content }], max_tokens: NEW_TOKENS, seed: index }
    // Streamed: fetch gives up on an answer in one piece after five minutes, which a busy machine may need.
    const request = { ...question, stream: true, stream_options: { include_usage: true } }
    const headers = { authorization: `Bearer ${apiKey}` }
    const response = await fetch(`${url}/chat/completions`, { method: 'POST', headers, body: JSON.stringify(request) })
    if (!response.ok) throw new PlumblineError('BENCH_ANSWER', `the local model answered with ${response.status}.`)
    const [, tokens] = /"completion_tokens":(\d+)/.exec(await response.text())!
    return Number(tokens)
  }
  const { seconds, result } = await timed(() => Promise.all(Array.from({ length: count }, (_, index) => ask(index))))
  return result.reduce((sum, tokens) => sum + tokens, 0) / seconds
}

/** Without the gateway in front: its milliseconds are another figure. */
const tokens: Section<BenchOptions> = {
  figures,
  async run(world, record) {
    const { path } = await pullModel(name, { home: plumblineHome(process.env), now: Date.now })
    const { signal } = new AbortController()
    const local = await startLocalModel({ path, name, batchSize: 8, maxWaiting: 0, warn: world.log, signal })
    try {
      const side = (count: number) => () => tokensPerSecond(local.url, local.apiKey, count)
      const rates = await interleave({ one: side(1), eight: side(8) }, { runs: world.runs ?? 5 })
      const details = { new_tokens: NEW_TOKENS, threads: availableParallelism() }
      record(figures[0], { ours: rates.one, details })
      record(figures[1], { ours: rates.eight, details })
    } finally {
      await local.stop()
    }
  },
}

/** What `plumb serve` without an upstream writes. */
export const localModel = defineBench({
  name: 'local-model',
  summary: 'SmolLM2-135M behind plumb serve without an upstream: tokens a second for one client and for eight',
  sections: [tokens],
  open: (options) => options,
  close: async () => {},
})
