import { readFileSync } from 'node:fs'
import { type ChatMessage, loadTokenizer } from '@plumbline/models'
import { describe, expect, test } from 'vitest'

// Renderings by transformers; chat-templates.py says how they are made.

interface Row {
  template: string
  conversation: string
  tools: boolean
  addGenerationPrompt: boolean
  text?: string
  error?: string
}

const golden = JSON.parse(readFileSync(new URL('chat-templates.json', import.meta.url), 'utf8'))
const [year, month, ...rest] = golden.now as [number, number, number, number, number, number]
const now = () => new Date(year, month - 1, ...rest)
const conversations: Record<string, ChatMessage[]> = golden.conversations
const rowsByTemplate = Map.groupBy<string, Row>(golden.rows, ({ template }) => template)

const tokenizerJson = {
  model: { type: 'BPE', vocab: { '<s>': 0, '</s>': 1 }, merges: [] },
  added_tokens: ['<s>', '</s>'].map((content, id) => ({ id, content, special: true })),
  decoder: { type: 'Fuse' },
}

describe.each([...rowsByTemplate])('%s', (name, rows) => {
  const chatTemplate = readFileSync(new URL(`chat-templates/${name}`, import.meta.url), 'utf8')
  const tokenizerConfig = { bos_token: '<s>', eos_token: '</s>' }
  const tokenizer = loadTokenizer({ tokenizerJson, tokenizerConfig, chatTemplate, now })

  test.each(rows)('$conversation, tools $tools, generation prompt $addGenerationPrompt', (row) => {
    const { conversation, tools, addGenerationPrompt, text, error } = row
    const options = { addGenerationPrompt, ...(tools ? { tools: golden.tools } : {}) }
    const render = () => tokenizer.renderChat(conversations[conversation], options)
    if (error === undefined) expect(render()).toBe(text)
    else
      expect(render).toThrow(
        error.startsWith('TemplateError: ') ? error.slice('TemplateError: '.length) : 'chat template',
      )
  })
})
