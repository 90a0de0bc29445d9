import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { openModel } from '../open-model.ts'
import { printable } from '../terminal-text.ts'
import { completions } from './generate.ts'

const question = "Give me three tips for a good night's sleep."

export const start = defineCommand({
  name: 'start',
  summary: 'the first try: pull the model and answer a first prompt',
  examples: [{ line: 'plumb start', does: 'pull SmolLM2-135M-Instruct if need be and let it answer' }],
  config: z.object({
    model: z.string().default('smollm2-135m-instruct').describe('the model to try'),
    prompt: z.string().min(1).default(question).describe('what to ask'),
  }),
  async run({ model: name, prompt }, world) {
    const begun = performance.now()
    const model = await openModel(name, world)
    const messages = [{ role: 'user', content: prompt }]
    const { bold, dim } = world.color
    world.stdout.write(`${bold('you')}    ${printable(prompt)}\n${bold('model')}  `)
    const promptIds = model.tokenizer.encodeChat(messages, { addGenerationPrompt: true })
    const sampling = {
      max_new_tokens: 128,
      temperature: 0,
      top_p: 1,
      top_k: 0,
      repetition_penalty: 1.1,
      stop: [],
      seed: 42,
    }
    let first: number | undefined
    const onToken = ({ text }: { text: string }) => {
      first ??= performance.now()
      world.stdout.write(printable(text))
    }
    const options = { ...sampling, num_generations: 1, batch_size: 1 }
    for await (const { text, tokenIds } of completions(model, [promptIds], options, world, onToken)) {
      const seconds = (performance.now() - first!) / 1000
      const rate = (tokenIds.length - 1) / seconds
      const firstSeconds = (first! - begun) / 1000
      if (world.json) world.emit({ prompt, completion: text, first_token_s: firstSeconds, tokens_per_s: rate })
      world.stdout.write(
        `\n\n${dim(`${tokenIds.length} tokens, ${rate.toFixed(0)} a second, the first after ${firstSeconds.toFixed(1)} s`)}\n`,
      )
    }
    world.log.info('\nNext:\n  npx plumb chat\n  npx plumb generate --help')
  },
})
