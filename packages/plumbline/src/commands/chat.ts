import { createInterface } from 'node:readline/promises'
import { PlumblineError } from '@plumbline/contracts'
import type { ChatMessage, Completion, LanguageModel } from '@plumbline/models'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { adapterField, chatTemplateField, modelField, samplingFields } from '../fields-of-models.ts'
import { modelOptions, openModel } from '../open-model.ts'
import { printable } from '../terminal-text.ts'
import type { World } from '../world.ts'
import { completions } from './generate.ts'

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
    const model = await openModel(config.model, world, modelOptions(config))
    if (model.tokenizer.chatTemplate === undefined)
      throw new PlumblineError('NO_CHAT_TEMPLATE', `${config.model} has no chat template.`, {
        hint: 'Pass one with --chat-template, or use plumb generate.',
      })
    const start: ChatMessage[] = config.system === undefined ? [] : [{ role: 'system', content: config.system }]
    let messages = [...start]
    if (world.stdout.isTerminal)
      world.log.info(world.color.dim('One line is one message. /new starts over, /quit or Ctrl-D ends.'))
    for await (const line of lines(world)) {
      const text = line.trim()
      if (text === '/quit' || text === '/exit') break
      if (text === '/new') messages = [...start]
      if (text === '' || text === '/new') continue
      messages.push({ role: 'user', content: text })
      const { text: content, tokenIds, finishReason } = await answer(model, messages, config, world)
      if (world.json)
        world.emit({ prompt: messages, completion: content, token_ids: tokenIds, finish_reason: finishReason })
      messages.push({ role: 'assistant', content })
    }
  },
})

async function answer(
  model: LanguageModel,
  messages: readonly ChatMessage[],
  config: ChatConfig,
  world: World,
): Promise<Completion> {
  const promptIds = model.tokenizer.encodeChat(messages, { addGenerationPrompt: true })
  const options = { ...config, num_generations: 1, batch_size: 1 }
  for await (const completion of completions(model, [promptIds], options, world, ({ text }) =>
    world.stdout.write(printable(text)),
  )) {
    world.stdout.write('\n')
    return completion
  }
  throw new PlumblineError('NO_ANSWER', 'The model gave no answer.')
}

async function* lines({ stdin, stdout, signal, color }: World): AsyncGenerator<string> {
  const isInteractive = stdout.isTerminal && process.stdin.isTTY
  const terminal = createInterface({
    input: stdin,
    ...(isInteractive && { output: process.stdout }),
    prompt: color.cyan('you> '),
  })
  signal.addEventListener('abort', () => terminal.close(), { once: true })
  if (isInteractive) terminal.prompt()
  for await (const line of terminal) {
    yield line
    if (isInteractive) terminal.prompt()
  }
  signal.throwIfAborted()
}
