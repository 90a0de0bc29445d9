import type { Interaction } from '@plumbline/contracts'
import { expect, test } from 'vitest'
import { visible } from './parts/content.tsx'
import { lastPrompt, messagesOf } from './prompt.ts'

test.each<[string, Interaction['request'], string]>([
  [
    'chat',
    {
      messages: [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'U' },
      ],
    },
    'U',
  ],
  [
    'parts',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'A' }, { type: 'image_url' }] }] },
    'A\n[image_url]',
  ],
  ['a prompt', { prompt: 'P' }, 'P'],
  ['responses', { instructions: 'I', input: 'Q' }, 'Q'],
  ['a list of inputs', { input: [{ role: 'user', content: [{ type: 'input_text', text: 'T' }] }] }, 'T'],
  [
    'the last one asked',
    {
      messages: [
        { role: 'user', content: 'U' },
        { role: 'assistant', content: null },
      ],
    },
    'U',
  ],
  ['content that was taken out', null, ''],
  ['no such shape', { messages: 7 }, ''],
])('what was asked: %s', (_, request, text) => {
  expect(lastPrompt({ request })).toBe(text)
})

test('calls of tools are shown with the message', () => {
  const request = {
    messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'c', function: { name: 'f' } }] }],
  }
  expect(messagesOf({ request })[0].text).toContain('"name": "f"')
})

test('characters that turn or hide text are named; line ends and other scripts stay', () => {
  expect(visible('a\u202eb\u0000c\u200b\n\tд 漢\u{e0041}👩\u200d🔧')).toBe(
    'a⟨U+202E⟩b⟨U+0000⟩c⟨U+200B⟩\n\tд 漢⟨U+E0041⟩👩\u200d🔧',
  )
})
