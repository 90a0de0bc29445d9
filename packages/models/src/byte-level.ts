/**
 * GPT-2's byte alphabet: each byte has one printable character, so that a BPE vocabulary can be written as text.
 * Printable Latin-1 bytes stand for themselves, the other 68 for U+0100 and up, in order.
 * Source: `bytes_to_unicode` of https://github.com/openai/gpt-2/blob/master/src/encoder.py
 */
export const BYTE_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(codeOf(byte)),
)

const BYTE_OF_CODE = new Map(BYTE_CHARACTERS.map((character, byte) => [character.charCodeAt(0), byte]))
const encoder = new TextEncoder()

/** GPT-2's splitting pattern, in the syntax of tokenizer.json (Oniguruma). */
export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

/** The bytes of `text` as characters of the byte alphabet. */
export function toByteCharacters(text: string): string {
  let characters = ''
  for (const byte of encoder.encode(text)) characters += BYTE_CHARACTERS[byte]
  return characters
}

/** The bytes that a token stands for. A token with a character outside the alphabet (an added one) is plain UTF-8. */
export function fromByteCharacters(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length)
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_CODE.get(token.charCodeAt(i))
    if (byte === undefined) return encoder.encode(token)
    bytes[i] = byte
  }
  return bytes
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
}

function codeOf(byte: number): number {
  if (isPrintable(byte)) return byte
  let unprintable = 0
  for (let b = 0; b < byte; b++) if (!isPrintable(b)) unprintable++
  return 256 + unprintable
}
