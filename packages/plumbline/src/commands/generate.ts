import { located, PlumblineError } from '@plumbline/contracts'
import type { Completion, Decoder, LanguageModel, TokenEvent } from '@plumbline/models'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import {
  adapterField,
  chatTemplateField,
  modelField,
  samplingFields,
  type TextOrMessages,
  textOrMessages,
} from '../fields-of-models.ts'
import { dataName, readJsonLines } from '../json-lines.ts'
import { modelOptions, openModel } from '../open-model.ts'
import { printable } from '../terminal-text.ts'
import type { World } from '../world.ts'

const config = z.object({
  model: modelField,
  prompt: z.string().optional().describe('the text to continue'),
  data: z.string().optional().describe('JSON lines with the column "prompt": text or messages; - for stdin'),
  ...samplingFields,
  num_generations: z.number().int().min(1).max(1000).default(1).describe('answers for each prompt'),
  batch_size: z.number().int().min(1).max(1024).default(16).describe('answers written at the same time, at most'),
  parse_special: z.boolean().default(false).describe('read special tokens in prompts as such, as transformers does'),
  adapter: adapterField,
  chat_template: chatTemplateField,
})

type Config = z.output<typeof config>

export const generate = defineCommand({
  name: 'generate',
  summary: 'continue prompts with a model',
  description:
    "Messages go through the model's chat template; text is continued as it is. With --json, one line an answer, in the order of the prompts; logprobs are those of the model itself, before temperature and cut-offs.",
  examples: [
    {
      line: 'plumb generate --prompt "The capital of France is" --max-new-tokens 8 --temperature 0',
      does: 'continue one text',
    },
    {
      line: 'plumb generate --data prompts.jsonl --num-generations 4 --seed 1 --json',
      does: 'four answers for each row, as JSON lines',
    },
  ],
  config,
  async run(config, world) {
    const { prompts, lines } = await readPrompts(config, world)
    const { checkLanguageModel, checkPromptLengths } = await import('@plumbline/models')
    const model = await openModel(config.model, world, modelOptions(config))
    checkLanguageModel(model.parameters, '--model')
    const placeOf = (index: number) => (lines ? `${dataName(config.data!)}:${lines[index]}` : '--prompt')
    const promptIds = prompts.map((prompt, index) =>
      located(placeOf(index), () => encodePrompt(model, prompt, config.parse_special)),
    )
    const nameOf = (index: number) => (lines ? `${placeOf(index)}: the prompt` : 'the prompt')
    checkPromptLengths(promptIds, config.max_new_tokens, model.config.maxPositions, nameOf)
    const total = prompts.length * config.num_generations
    const isStreamed = total === 1 && !world.json
    const progress = isStreamed ? undefined : world.progress('generate', total, { unit: 'answers' })
    const onToken = ({ text }: TokenEvent) => isStreamed && world.stdout.write(printable(text))
    const write = inOrder(config.num_generations, (completion) =>
      writeCompletion(prompts[completion.promptIndex], completion, world, isStreamed),
    )
    for await (const completion of completions(model, promptIds, config, world, onToken)) {
      progress?.advance()
      write(completion)
    }
    progress?.end()
  },
})

/** The prompts, and the lines of the file that they stand in. */
async function readPrompts(
  { prompt, data }: Config,
  world: World,
): Promise<{ prompts: TextOrMessages[]; lines?: number[] }> {
  const hint = 'Give either --prompt "some text" or --data prompts.jsonl.'
  if (prompt !== undefined && data !== undefined)
    throw new PlumblineError('USAGE_CONFLICT', '--prompt and --data are both given.', { hint })
  if (prompt === undefined && data === undefined)
    throw new PlumblineError('USAGE_MISSING', 'There is no prompt.', { hint })
  if (prompt !== undefined) return { prompts: [prompt] }
  const prompts: TextOrMessages[] = []
  const lines: number[] = []
  for await (const { line, row } of readJsonLines(data!, z.object({ prompt: textOrMessages }), world)) {
    prompts.push(row.prompt)
    lines.push(line)
  }
  return { prompts, lines }
}

export function encodePrompt({ tokenizer }: LanguageModel, prompt: TextOrMessages, parseSpecial: boolean): number[] {
  if (typeof prompt === 'string') return tokenizer.encode(prompt, { parseSpecial })
  return tokenizer.encodeChat(prompt, { addGenerationPrompt: true, parseSpecial })
}

/** Bytes that the key-value cache may take; fewer sequences at once when they are long. */
const CACHE_BYTES = 2e9

type Sampling = Omit<Config, 'model' | 'prompt' | 'data' | 'parse_special' | 'chat_template'>

/** Answers as they are finished. */
export async function* completions(
  language: LanguageModel,
  promptIds: readonly (readonly number[])[],
  config: Sampling,
  world: Pick<World, 'signal'>,
  onToken?: (event: TokenEvent) => void,
): AsyncGenerator<Completion> {
  const { cacheBytes, createDecoder, checkPromptLengths } = await import('@plumbline/models')
  const { config: model, parameters } = language
  checkPromptLengths(promptIds, config.max_new_tokens, model.maxPositions)
  const longest = promptIds.reduce((most, { length }) => Math.max(most, length), 0)
  const length = Math.min(model.maxPositions, longest + config.max_new_tokens)
  const fitting = Math.floor(CACHE_BYTES / (cacheBytes(model) * length))
  const answers = promptIds.length * config.num_generations
  const slots = Math.max(1, Math.min(config.batch_size, answers, fitting))
  const decoder = await createDecoder(model, parameters, {
    slots,
    length,
    tokens: Math.ceil(answers / slots) * config.max_new_tokens,
  })
  try {
    yield* completionsOf(decoder, language, promptIds, config, world, onToken)
  } finally {
    await decoder.dispose()
  }
}

/** The same with a decoder of the caller's. */
export async function* completionsOf(
  decoder: Decoder,
  { tokenizer, stopTokenIds }: LanguageModel,
  promptIds: readonly (readonly number[])[],
  config: Sampling,
  { signal }: Pick<World, 'signal'>,
  onToken?: (event: TokenEvent) => void,
): AsyncGenerator<Completion> {
  const { createTextStream, generate } = await import('@plumbline/models')
  yield* generate(decoder, promptIds, {
    maxNewTokens: config.max_new_tokens,
    temperature: config.temperature,
    topP: config.top_p,
    topK: config.top_k,
    repetitionPenalty: config.repetition_penalty,
    numGenerations: config.num_generations,
    seed: config.seed,
    stop: config.stop,
    stopTokenIds,
    createTextStream: () => createTextStream(tokenizer, { skipSpecialTokens: true }),
    ...(onToken && { onToken }),
    signal,
  })
}

/** Holds completions back until all before them are out. */
function inOrder(numGenerations: number, write: (completion: Completion) => void) {
  const waiting = new Map<number, Completion>()
  let next = 0
  return (completion: Completion) => {
    waiting.set(completion.promptIndex * numGenerations + completion.generation, completion)
    for (let ready = waiting.get(next); ready; ready = waiting.get(next)) {
      write(ready)
      waiting.delete(next++)
    }
  }
}

function writeCompletion(prompt: TextOrMessages, completion: Completion, world: World, isStreamed: boolean): void {
  const { text, tokenIds, logprobs, finishReason } = completion
  if (world.json) world.emit({ prompt, completion: text, token_ids: tokenIds, logprobs, finish_reason: finishReason })
  else if (isStreamed) world.stdout.write('\n')
  else {
    const shown =
      typeof prompt === 'string' ? prompt : prompt.map(({ role, content }) => `${role}: ${content}`).join('\n')
    world.stdout.write(`${world.color.dim(printable(shown))}\n${printable(text)}\n\n`)
  }
}
