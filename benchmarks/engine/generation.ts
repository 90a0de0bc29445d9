/** Greedy generation against transformers' `generate`: prompts read and tokens written, everything compiled before. */
import { PlumblineError } from '@plumbline/contracts'
import { createDecoder, createTextStream, type Decoder, generate, type LanguageModel } from '@plumbline/models'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave, type Side, timed } from '../interleave.ts'
import type { EngineWorld } from './world.ts'

const PROMPT_TOKENS = 48
const NEW_TOKENS = 64
/** Later ones may part where two tokens are equally likely to a rounding error. */
const EQUAL_TOKENS = 16

/** Tokens per second at one batch size. */
export function generation(batch: number, goal: number, defaultRuns: number): Section<EngineWorld> {
  const figure: Figure = {
    name: `generate_batch_${batch}`,
    title: `generation, batch ${batch}`,
    unit: 'tokens/s',
    better: 'higher',
    goal: { ratio: goal },
  }
  return {
    figures: [figure],
    async run(world, record) {
      const [model, peer, prompts] = [await world.model(), await world.peer(), await world.text(batch, PROMPT_TOKENS)]
      const decoder = await createDecoder(model.config, model.parameters, {
        slots: batch,
        length: PROMPT_TOKENS + NEW_TOKENS,
        threads: world.threads,
      })
      const rate = (seconds: number) => (batch * NEW_TOKENS) / seconds
      const written: { ours?: number[][]; peer?: number[][] } = {}
      const ours: Side = async () => {
        const { seconds, result } = await timed(() => greedy(decoder, model, prompts))
        written.ours = result
        return rate(seconds)
      }
      const transformers: Side | undefined =
        peer &&
        (async () => {
          const request = { ids: prompts, new_tokens: NEW_TOKENS }
          const { seconds, tokens } = await peer.call<{ seconds: number; tokens: number[][] }>('generate', request)
          written.peer = tokens
          return rate(seconds)
        })
      const times = await interleave({ ours, peer: transformers }, { runs: world.runs(defaultRuns) }).finally(() =>
        decoder.dispose(),
      )
      const equal = written.peer && equalTokens(written.ours!, written.peer)
      const details = { prompt_tokens: PROMPT_TOKENS, new_tokens: NEW_TOKENS, ...(equal && { equal_tokens: equal }) }
      record(figure, { ...times, peerName: `${peer?.transformers} generate`, details })
    },
  }
}

/** The new tokens of each prompt. */
async function greedy(
  decoder: Decoder,
  { tokenizer }: LanguageModel,
  prompts: readonly (readonly number[])[],
): Promise<number[][]> {
  const completions: number[][] = []
  const options = {
    maxNewTokens: NEW_TOKENS,
    numGenerations: 1,
    temperature: 0,
    topP: 1,
    topK: 0,
    repetitionPenalty: 1,
    seed: 0,
    stop: [],
    stopTokenIds: [],
    createTextStream: () => createTextStream(tokenizer, { skipSpecialTokens: true }),
  }
  for await (const { promptIndex, tokenIds } of generate(decoder, prompts, options))
    completions[promptIndex] = [...tokenIds]
  return completions
}

/** Tokens that are the same from the first on, in the worst row. Throws BENCH_DISAGREES when they are too few. */
function equalTokens(ours: readonly (readonly number[])[], peer: readonly (readonly number[])[]): number {
  const equal = Math.min(
    ...ours.map((tokens, row) => {
      const first = tokens.findIndex((token, i) => token !== peer[row][i])
      return first < 0 ? tokens.length : first
    }),
  )
  if (equal >= EQUAL_TOKENS) return equal
  throw new PlumblineError('BENCH_DISAGREES', `generation: only the first ${equal} tokens are those of transformers.`, {
    hint: 'A time for another result is worth nothing: mend that first.',
  })
}
