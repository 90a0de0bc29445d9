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
  for (const content of [[{ type: 'image_url', ...image }], [{ properties: image }]]) {
    expect(read({ messages: [{ role: 'user', content }] }).unreadable).toEqual(['image_url'])
  }
  expect(read({ tools: [{ type: 'image_generation', input_image_mask: image }] }).unreadable).toEqual(['image_url'])
})
