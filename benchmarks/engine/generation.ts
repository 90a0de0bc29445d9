/** Greedy generation against transformers' `generate`: prompts read and tokens written, everything compiled before. */
import { PlumblineError } from '@plumbline/contracts'
import { createDecoder, createTextStream, type Decoder, generate, type LanguageModel } from '@plumbline/models'
import type { Section } from '../bench.ts'
import type { Figure, Measurement } from '../figure.ts'
import { interleave, type Side, timed } from '../interleave.ts'
import type { Peer } from '../peer.ts'
import type { EngineWorld } from './world.ts'

const PROMPT_TOKENS = 48
const NEW_TOKENS = 64
/** Later ones may part where two tokens are equally likely to a rounding error. */
const EQUAL_TOKENS = 16

/** What is generated: prompts of the text, `batch` at a time. */
interface Setting {
  readonly batch: number
  /** Which pieces of the text are the prompts. */
  readonly prompts: { readonly from: number; readonly to: number }
  readonly draftTokens?: number
}

const figureOf = (name: string, title: string, goal?: number): Figure => ({
  name,
  title: `generation, ${title}`,
  unit: 'tokens/s',
  better: 'higher',
  ...(goal !== undefined && { goal: { ratio: goal } }),
})

/** Tokens per second at one batch size. */
export function generation(batch: number, goal: number, defaultRuns: number): Section<EngineWorld> {
  const figure = figureOf(`generate_batch_${batch}`, `batch ${batch}`, goal)
  const setting = { batch, prompts: { from: 0, to: batch } }
  return {
    figures: [figure],
    run: async (world, record) => record(figure, await measure(world, setting, defaultRuns)),
  }
}

/** What stands beside batch 1, whose one prompt is continued with a loop: the best that guessing can meet. */
export function generationWithoutLuck(defaultRuns: number): Section<EngineWorld> {
  const plain = figureOf('generate_batch_1_plain', 'batch 1, without guessed tokens')
  const others = figureOf('generate_batch_1_others', 'batch 1, eight other prompts')
  return {
    figures: [plain, others],
    async run(world, record, isWanted) {
      const first = { batch: 1, prompts: { from: 0, to: 1 }, draftTokens: 0 }
      if (isWanted(plain)) record(plain, await measure(world, first, defaultRuns))
      const rest = { batch: 1, prompts: { from: 1, to: 9 } }
      if (isWanted(others)) record(others, await measure(world, rest, 2))
    },
  }
}

async function measure(world: EngineWorld, setting: Setting, defaultRuns: number): Promise<Measurement> {
  const [model, peer] = [await world.model(), await world.peer()]
  const { batch, prompts: piece, draftTokens } = setting
  const prompts = (await world.text(piece.to, PROMPT_TOKENS)).slice(piece.from)
  const decoder = await createDecoder(model.config, model.parameters, {
    slots: batch,
    length: PROMPT_TOKENS + NEW_TOKENS,
    threads: world.threads,
  })
  const rate = (seconds: number) => (prompts.length * NEW_TOKENS) / seconds
  const written: { ours?: Written; peer?: number[][] } = {}
  const ours: Side = async () => {
    const { seconds, result } = await timed(() => greedy(decoder, model, prompts, draftTokens))
    written.ours = result
    return rate(seconds)
  }
  const transformers: Side | undefined =
    peer &&
    (async () => {
      const answers = []
      for (let start = 0; start < prompts.length; start += batch)
        answers.push(await transformersGenerate(peer, prompts.slice(start, start + batch)))
      written.peer = answers.flatMap(({ tokens }) => tokens)
      return rate(answers.reduce((sum, { seconds }) => sum + seconds, 0))
    })
  const times = await interleave({ ours, peer: transformers }, { runs: world.runs(defaultRuns) }).finally(() =>
    decoder.dispose(),
  )
  const { tokens, passes } = written.ours!
  return {
    ...times,
    peerName: `${peer?.transformers} generate`,
    details: {
      prompt_tokens: PROMPT_TOKENS,
      new_tokens: NEW_TOKENS,
      // The first token comes from the pass that reads the prompts.
      tokens_per_pass: Number(((prompts.length * (NEW_TOKENS - 1)) / passes / batch).toFixed(2)),
      ...(written.peer && { equal_tokens: equalTokens(tokens, written.peer) }),
    },
  }
}

const transformersGenerate = (peer: Peer, ids: readonly (readonly number[])[]) =>
  peer.call<{ seconds: number; tokens: number[][] }>('generate', { ids, new_tokens: NEW_TOKENS })

interface Written {
  /** The new tokens of each prompt. */
  readonly tokens: number[][]
  /** Calls of the model after the prompts were read. */
  readonly passes: number
}

async function greedy(
  decoder: Decoder,
  { tokenizer }: LanguageModel,
  prompts: readonly (readonly number[])[],
  draftTokens: number | undefined,
): Promise<Written> {
  const tokens: number[][] = []
  let passes = 0
  const counting: Decoder = {
    ...decoder,
    step(...args) {
      passes++
      return decoder.step(...args)
    },
    verify(...args) {
      passes++
      return decoder.verify(...args)
    },
  }
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
    draftTokens,
    createTextStream: () => createTextStream(tokenizer, { skipSpecialTokens: true }),
  }
  for await (const { promptIndex, tokenIds } of generate(counting, prompts, options))
    tokens[promptIndex] = [...tokenIds]
  return { tokens, passes }
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
