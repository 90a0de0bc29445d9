/** One entry of `added_tokens` in tokenizer.json. */
export interface AddedToken {
  id: number
  content: string
  special: boolean
  normalized: boolean
  single_word: boolean
  lstrip: boolean
  rstrip: boolean
}

/** A stretch of text, or the added token found there. */
type Segment = { text: string; start: number } | { id: number }

export type AddedTokenSplitter = (text: string, isParsed: (token: AddedToken, start: number) => boolean) => Segment[]

const WORD_CHARACTER = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u

/**
 * Finds added tokens in text as Hugging Face `tokenizers` does: leftmost-longest, with `lstrip`, `rstrip` and
 * `single_word`. A match for which `isParsed` is false stays text, and the search goes on behind it.
 * Source: `AddedVocabulary::find_matches`.
 */
export function addedTokenSplitter(tokens: readonly AddedToken[]): AddedTokenSplitter {
  if (tokens.length === 0) return (text) => (text === '' ? [] : [{ text, start: 0 }])
  const byContent = new Map(tokens.map((token) => [token.content, token]))
  const pattern = new RegExp(longestFirst(tokens.map(({ content }) => content)).join('|'), 'g')

  return (text, isParsed) => {
    const segments: Segment[] = []
    let done = 0
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0])!
      let start = match.index
      let end = start + match[0].length
      if (start < done || !isParsed(token, start) || (token.single_word && !isAlone(text, start, end))) continue
      if (token.lstrip)
        start = Math.max(done, start - (/\p{White_Space}*$/u.exec(text.slice(done, start))?.[0].length ?? 0))
      if (token.rstrip) end += /^\p{White_Space}*/u.exec(text.slice(end))?.[0].length ?? 0
      if (start > done) segments.push({ text: text.slice(done, start), start: done })
      segments.push({ id: token.id })
      done = end
    }
    if (done < text.length) segments.push({ text: done === 0 ? text : text.slice(done), start: done })
    return segments
  }
}

/** Escaped for a RegExp alternation in which the longest alternative wins, as in a leftmost-longest automaton. */
export function longestFirst(contents: readonly string[]): string[] {
  return [...contents]
    .sort((a, b) => b.length - a.length)
    .map((content) => content.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'))
}

function isAlone(text: string, start: number, end: number): boolean {
  const before = Array.from(text.slice(Math.max(0, start - 2), start)).at(-1)
  const after = text.codePointAt(end)
  return (
    !(before !== undefined && WORD_CHARACTER.test(before)) &&
    !(after !== undefined && WORD_CHARACTER.test(String.fromCodePoint(after)))
  )
}
