import { createInterface } from 'node:readline/promises'
import { PlumblineError } from '@plumbline/contracts'
import type { ChatMessage, GrowingDecoder, LanguageModel, TokenEvent } from '@plumbline/models'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { adapterField, chatTemplateField, modelField, samplingFields } from '../fields-of-models.ts'
import { modelOptions, openModel } from '../open-model.ts'
import { printable } from '../terminal-text.ts'
import type { World } from '../world.ts'
import { completionsOf } from './generate.ts'

const config = z.object({
  model: modelField,
  system: z.string().optional().describe('a system message to start with'),
  ...samplingFields,
  adapter: adapterField,
  chat_template: chatTemplateField,
})

type ChatConfig = z.output<typeof config>

export const chat = defineCommand({
  name: 'chat',
  summary: 'talk with a model in the terminal',
  description: 'One line is one message. /new starts over, /quit or Ctrl-D ends. Piped input is answered line by line.',
  examples: [
    { line: 'plumb chat', does: 'talk with the default model' },
    {
      line: 'plumb chat --system "Answer in one sentence." --temperature 0',
      does: 'with a system message, always the likeliest answer',
    },
  ],
  config,
  async run(config, world) {
    const { checkLanguageModel, createGrowingDecoder } = await import('@plumbline/models')
    const model = await openModel(config.model, world, modelOptions(config))
    checkLanguageModel(model.parameters, '--model')
    if (model.tokenizer.chatTemplate === undefined)
      throw new PlumblineError('NO_CHAT_TEMPLATE', `${config.model} has no chat template.`, {
        hint: 'Pass one with --chat-template, or use plumb generate.',
      })
    const start: ChatMessage[] = config.system === undefined ? [] : [{ role: 'system', content: config.system }]
    let messages = [...start]
    if (world.stdout.isTerminal)
      world.log.info('One line is one message. /new starts over, Ctrl-C stops an answer, /quit or Ctrl-D ends.', 'dim')
    const decoder = createGrowingDecoder(model.config, model.parameters)
    let running: AbortController | undefined
    const stopAnswer = () => {
      if (running === undefined || running.signal.aborted) return false
      running.abort()
      return true
    }
    try {
      for await (const line of lines(world, stopAnswer)) {
        const text = line.trim()
        if (text === '/quit' || text === '/exit') break
        if (text === '/new') messages = [...start]
        if (text === '' || text === '/new') continue
        const asked: ChatMessage[] = [...messages, { role: 'user', content: text }]
        running = new AbortController()
        const content = await answer(model, decoder, asked, config, world, running.signal)
        running = undefined
        // A question whose answer was stopped before its first word is as if it had not been asked.
        if (content !== '') messages = [...asked, { role: 'assistant', content }]
      }
    } finally {
      await decoder.dispose()
    }
  },
})

/** Writes an answer as it comes; gives its text, or what there was of it when `stop` fired. */
async function answer(
  model: LanguageModel,
  decoders: GrowingDecoder,
  messages: readonly ChatMessage[],
  config: ChatConfig,
  world: World,
  stop: AbortSignal,
): Promise<string> {
  const { checkPromptLengths } = await import('@plumbline/models')
  const promptIds = model.tokenizer.encodeChat(messages, { addGenerationPrompt: true })
  const nameIt = () => 'the conversation (/new starts over)'
  checkPromptLengths([promptIds], config.max_new_tokens, model.config.maxPositions, nameIt)
  const decoder = await decoders.forLength(promptIds.length + config.max_new_tokens)
  const options = { ...config, num_generations: 1, batch_size: 1 }
  const signal = AbortSignal.any([world.signal, stop])
  let written = ''
  const onToken = ({ text }: TokenEvent) => {
    written += text
    world.stdout.write(printable(text))
  }
  try {
    for await (const completion of completionsOf(decoder, model, [promptIds], options, { signal }, onToken)) {
      world.stdout.write('\n')
      const { text, tokenIds, finishReason } = completion
      if (world.json)
        world.emit({ prompt: messages, completion: text, token_ids: tokenIds, finish_reason: finishReason })
      return text
    }
  } catch (error) {
    if (world.signal.aborted || !stop.aborted) throw error
    world.stdout.write('\n')
    return written
  }
  throw new PlumblineError('NO_ANSWER', 'The model gave no answer.')
}

/**
 * What the user types. At a terminal Ctrl-C first goes to `stopAnswer`; when that has nothing to stop it ends the
 * chat with INTERRUPTED.
 */
async function* lines({ stdin, stdout, signal, color }: World, stopAnswer: () => boolean): AsyncGenerator<string> {
  const isInteractive = stdout.isTerminal && process.stdin.isTTY
  const terminal = createInterface({
    input: stdin,
    ...(isInteractive && { output: process.stdout }),
    prompt: color.cyan('you> '),
  })
  let isOpen = true
  let isInterrupted = false
  terminal.once('close', () => {
    isOpen = false
  })
  // The terminal is in raw mode: the key comes here, not as a signal.
  terminal.on('SIGINT', () => {
    if (stopAnswer()) return
    isInterrupted = true
    stdout.write('\n')
    terminal.close()
  })
  const prompt = () => isInteractive && isOpen && terminal.prompt()
  signal.addEventListener('abort', () => terminal.close(), { once: true })
  prompt()
  for await (const line of terminal) {
    yield line
    prompt()
  }
  signal.throwIfAborted()
  if (isInterrupted) throw new PlumblineError('INTERRUPTED', 'Stopped by Ctrl-C.')
}
