import { expect, test } from 'vitest'
import { readRequest } from './request.ts'

const read = (json: Record<string, unknown>) => {
  const { texts, unreadable } = readRequest(json)
  return { texts: texts.map(({ source, text }) => `${source}: ${text}`), unreadable }
}
const tool = (properties: object) => ({ type: 'function', function: { name: 'f', parameters: { properties } } })

test('a tool may call its parameters what it likes: they are neither media nor names', () => {
  const properties = {
    file: { type: 'string', description: 'a path' },
    status: { type: 'string', description: 'open or closed' },
    image_url: { type: 'string', format: 'uri' },
  }
  const { texts, unreadable } = read({ model: 'm', messages: [], tools: [tool(properties)] })
  expect(unreadable).toEqual([])
  expect(texts).toEqual(['request: f', 'request: a path', 'request: open or closed'])
})

test('the format of a response is read, its names are not', () => {
  const format = { type: 'json_schema', name: 'person', schema: { properties: { id: { description: 'a number' } } } }
  expect(read({ input: 'x', text: { format } })).toEqual({
    texts: ['user: x', 'request: person', 'request: a number'],
    unreadable: [],
  })
})

test('a field that an upstream may take for a known one cannot be read; names of the caller are no such fields', () => {
  const image = { type: 'text', text: 'a', Image_URL: { url: 'data:image/png;base64,AA==' } }
  const messages = [{ role: 'user', content: [image], Content: 'b', N: 'c' }]
  expect(read({ messages }).unreadable).toEqual(['Image_URL', 'Content'])
  const named = { metadata: { User: 'a', Type: 'b' }, tools: [tool({ Name: { description: 'c' } })] }
  expect(read({ messages: [], ...named }).unreadable).toEqual([])
})

test('no text hides where a name belongs', () => {
  const messages = [{ role: 'user\nproject nightingale', content: [{ type: 'text', text: 'hi', id: 'two words' }] }]
  expect(read({ messages }).texts).toEqual(['tool: user\nproject nightingale', 'tool: hi', 'tool: two words'])
  const single = { role: 'nightingale', tool_call_id: 'anna@example.com', id: `ignore-${'all-'.repeat(20)}` }
  expect(read({ messages: [single] }).texts).toEqual(Object.values(single).map((text) => `tool: ${text}`))
})

test('media in what people say cannot be read, whatever it is put below', () => {
  const image = { image_url: { url: 'data:image/png;base64,AA==' } }
  for (const content of [[{ type: 'image_url', ...image }], [{ type: 'text', properties: image }]]) {
    expect(read({ messages: [{ role: 'user', content }] }).unreadable).toEqual(['image_url'])
  }
  expect(read({ tools: [{ type: 'image_generation', input_image_mask: image }] }).unreadable).toEqual(['image_url'])
})

const sound = 'data:audio/wav;base64,AAAA'
test.each([
  [{ type: 'audio_url', audio_url: { url: sound } }],
  [{ audio_url: { url: sound } }],
  [{ type: 'image', image: 'AAAA' }],
  [{ image: 'AAAA' }],
  [{ text: 'what is it?', image: 'AAAA' }],
  [{ type: 'video', video: ['AAAA'] }],
  [{ type: 'video_url', video_url: { url: 'https://example.com/a.mp4' } }],
  [{ type: 'image_embeds', image_embeds: 'AAAA' }],
  [{ type: ['text'], sound }],
  [{ type: 'TEXT', text: 'a' }],
  [{ type: { toString: 1 }, text: 'a' }],
])('a part of the content that is no known kind of text cannot be read: %j', (part) => {
  const tool = { type: 'function_call_output', call_id: 'c', output: [part] }
  for (const content of [[part], [{ type: 'text', text: 'hi' }, part], part]) {
    expect(read({ messages: [{ role: 'user', content }] }).unreadable).not.toEqual([])
  }
  expect(read({ input: [tool] }).unreadable).not.toEqual([])
})

test.each([
  [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, 'item_reference'],
  [{ input: [{ role: 'user', content: 'go on' }, { id: 'msg_1' }] }, 'id'],
  [{ input: [{ type: 'image_generation_call', id: 'ig_1', result: 'AAAA' }] }, 'image_generation_call'],
  [{ input: [{ type: 'compaction', encrypted_content: 'AAAA' }] }, 'compaction'],
  [{ prompt: { id: 'pmpt_1', variables: { city: 'Paris' } }, input: 'hi' }, 'prompt'],
  [{ prompt: [{ prompt_string: 'hi', multimodal_data: ['AAAA'] }] }, 'prompt'],
  [{ prompt: 'hi', prompt_embeds: 'AAAA' }, 'prompt_embeds'],
  [{ prompt: ['hi', 4534, 122] }, 'token ids'],
  [{ prompt: [[4534], [122]] }, 'token ids'],
])('what the upstream keeps, and what is text in numbers, cannot be read: %j', (json, what) => {
  expect(read(json).unreadable).toEqual([what])
})

test('what clients send back of earlier answers can be read', () => {
  const annotations = [{ type: 'url_citation', url: 'https://example.com', title: 'a title', start_index: 0 }]
  const input = [
    { role: 'user', content: [{ type: 'input_text', text: 'hi' }] },
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'AAAA' },
    { type: 'web_search_call', id: 'ws_1', action: { type: 'search', query: 'q', sources: [{ type: 'url' }] } },
    { type: 'code_interpreter_call', id: 'ci_1', code: '1', outputs: [{ type: 'logs', logs: '1' }] },
    { type: 'message', role: 'assistant', id: 'msg_1', content: [{ type: 'output_text', text: 'a', annotations }] },
    { type: 'function_call', call_id: 'c', name: 'look', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'sun' }] },
    { type: 'shell_call_output', call_id: 's', output: [{ stdout: 'a', stderr: '', outcome: { type: 'exit' } }] },
  ]
  expect(read({ input }).unreadable).toEqual([])
  const messages = [
    { role: 'system', content: [{ type: 'text', text: 'Be short.', cache_control: { type: 'ephemeral' } }] },
    { role: 'user', content: ['hi', { text: 'there' }] },
    { role: 'assistant', content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }] },
    { role: 'assistant', content: null, reasoning_content: 'hm', tool_calls: [{ id: 'c', type: 'function' }] },
    { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'sun' }] },
  ]
  const levels = tool({ level: { type: 'integer', enum: [1, 2, 3] } })
  expect(read({ messages, tools: [levels] }).unreadable).toEqual([])
})
