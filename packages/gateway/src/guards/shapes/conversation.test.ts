import { expect, test } from 'vitest'
import { readConversation } from './conversation.ts'

test('chats: developers are the system, parts are joined, what is no text is empty', () => {
  const messages = [
    { role: 'developer', content: 'Be short.' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Is ' },
        { type: 'text', text: 'it?' },
      ],
    },
    { role: 'assistant', content: null, tool_calls: [{ id: 'a' }] },
    { role: 'tool', content: '7', tool_call_id: 'a' },
  ]
  expect(readConversation({ messages })).toEqual([
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'Is it?' },
    { role: 'assistant', content: '' },
    { role: 'tool', content: '7' },
  ])
})

test('responses: instructions, texts and items', () => {
  expect(readConversation({ instructions: 'Be short.', input: 'Is it?' })).toEqual([
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'Is it?' },
  ])
  const input = [
    { role: 'user', content: [{ type: 'input_text', text: 'Is it?' }] },
    { type: 'function_call', call_id: 'a', name: 'look', arguments: '{}' },
    { type: 'function_call_output', call_id: 'a', output: '7' },
    { type: { toString: 1 }, output: '8' },
  ]
  expect(readConversation({ input })).toEqual([
    { role: 'user', content: 'Is it?' },
    { role: 'tool', content: '7' },
  ])
})

test('completions: one text, or none that an answer could belong to', () => {
  expect(readConversation({ prompt: 'Once' })).toBe('Once')
  expect(readConversation({ prompt: ['Once'] })).toBe('Once')
  for (const prompt of [['Once', 'Twice'], [1, 2], undefined]) expect(readConversation({ prompt })).toBeUndefined()
})
