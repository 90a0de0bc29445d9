/** A text in pieces of `size` characters; none ends between the halves of a pair. */
export function piecesOf(text: string, size: number): string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length; at += pieces.at(-1)!.length) {
    pieces.push(text.slice(at, at + size + (isInPair(text, at + size) ? 1 : 0)))
  }
  return pieces
}

/** Whether a cut here would part the halves of a pair. */
export function isInPair(text: string, at: number): boolean {
  return /[\ud800-\udbff]/.test(text.charAt(at - 1))
}

/**
 * What `replaceAll` makes of the whole text, from its pieces. The expression is global; a match has at most `longest`
 * characters, and depends on nothing but itself and one character before and behind it.
 */
export function* replaceInPieces(
  pieces: Iterable<string>,
  expression: RegExp,
  longest: number,
  replace: (match: string) => string,
): Generator<string> {
  let text = ''
  /** All before here has been given. */
  let at = 0
  const settle = (open: number): string => {
    let out = ''
    for (;;) {
      expression.lastIndex = at
      const found = expression.exec(text)
      if (found === null || found.index >= open) break
      out += text.slice(at, found.index) + replace(found[0])
      at = found.index + found[0].length
    }
    const settled = Math.max(at, isInPair(text, open) ? open - 1 : open)
    out += text.slice(at, settled)
    // One character stays, for what a match looks at before it.
    text = text.slice(Math.max(0, settled - 1))
    at = Math.min(1, settled)
    return out
  }
  for (const piece of pieces) {
    text += piece
    // What begins before here is whole, and so is the character behind it.
    yield settle(text.length - longest)
  }
  yield settle(text.length)
}
