/** Where a text stops being JSON: zero-based character, and what was expected there. */
export interface JsonFault {
  readonly position: number
  readonly expected: string
}

const space = /[ \t\r\n]*/y
// Control characters must be escaped in JSON strings.
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 names them
const stringToken = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const scalarToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/**
 * The first fault of a text that JSON.parse refuses; undefined for valid JSON. V8 names a position in some of its
 * messages only, and a row of a data file wants its column. Iterative, as depth is the file's choice.
 */
export function findJsonFault(text: string): JsonFault | undefined {
  const closers: ('}' | ']')[] = []
  let at = 0
  let state: 'value' | 'firstValue' | 'key' | 'firstKey' | 'after' = 'value'
  const skip = (token: RegExp): boolean => {
    token.lastIndex = at
    const isFound = token.test(text)
    if (isFound) at = token.lastIndex
    return isFound
  }
  for (;;) {
    skip(space)
    const character = text[at]
    if (state === 'after') {
      const closer = closers.at(-1)
      if (closer === undefined) return at === text.length ? undefined : { position: at, expected: 'the end' }
      if (character === ',') state = closer === '}' ? 'key' : 'value'
      else if (character === closer) closers.pop()
      else return { position: at, expected: `"," or "${closer}"` }
      at++
    } else if ((state === 'firstKey' && character === '}') || (state === 'firstValue' && character === ']')) {
      closers.pop()
      at++
      state = 'after'
    } else if (state === 'key' || state === 'firstKey') {
      if (!skip(stringToken)) return { position: at, expected: 'a key in double quotes' }
      skip(space)
      if (text[at] !== ':') return { position: at, expected: '":"' }
      at++
      state = 'value'
    } else if (character === '{' || character === '[') {
      closers.push(character === '{' ? '}' : ']')
      state = character === '{' ? 'firstKey' : 'firstValue'
      at++
    } else {
      if (!skip(stringToken) && !skip(scalarToken)) return { position: at, expected: 'a value' }
      state = 'after'
    }
  }
}
