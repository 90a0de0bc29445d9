import { piecesOf, replaceInPieces } from '../pieces.ts'

const invisible = /\p{Default_Ignorable_Code_Point}/gu
/** Letters of other scripts that look like Latin ones. */
const lookalikes: Readonly<Record<string, string>> = {
  а: 'a',
  е: 'e',
  о: 'o',
  р: 'p',
  с: 'c',
  у: 'y',
  х: 'x',
  і: 'i',
  ј: 'j',
  ѕ: 's',
  ԁ: 'd',
  һ: 'h',
  ӏ: 'l',
  в: 'b',
  к: 'k',
  м: 'm',
  н: 'h',
  т: 't',
  г: 'r',
  ո: 'n',
  ս: 'u',
  α: 'a',
  ε: 'e',
  ο: 'o',
  ρ: 'p',
  τ: 't',
  υ: 'u',
  ν: 'v',
  ι: 'i',
  κ: 'k',
  η: 'n',
  ϲ: 'c',
  ɡ: 'g',
  ı: 'i',
}
const lookalike = new RegExp(`[${Object.keys(lookalikes).join('')}]`, 'g')
/** A word whose letters stand apart. */
const spacedWord = /(?<![a-z])(?:[a-z][ .\-_*]){3,60}[a-z](?![a-z])/g
const longestSpacedWord = 121
const encoded = /[A-Za-z0-9+/_-]{16,8192}={0,2}/g
const longestEncoded = 8194
const maxEncoded = 20

/** A text as a model may understand it: its letters, in pieces. */
export interface Reading {
  /** Before the name of what is found in it. */
  readonly prefix: '' | 'encoded_'
  readonly pieces: Iterable<string>
}

/** All readings of a text: as it is, and what stands in it in one of the ways in which orders are hidden. */
export function* readingsOf(text: string, size: number): Generator<Reading> {
  const pieces = piecesOf(text, size)
  yield { prefix: '', pieces: mapPieces(pieces, lettersOf) }
  yield* encodedReadings(pieces, size)
  if (text.includes('%')) {
    yield hiddenReading(replaceInPieces(pieces, /%[0-9a-f]{2}/gi, 3, (found) => characterOf(found.slice(1))))
  }
  if (text.includes('\\')) {
    const escapes = /\\u[0-9a-f]{4}|\\x[0-9a-f]{2}/gi
    yield hiddenReading(replaceInPieces(pieces, escapes, 6, (found) => characterOf(found.slice(2))))
  }
  yield hiddenReading(pieces, rot13)
  yield hiddenReading(pieces.toReversed(), reverse)
}

/** Base64 and hexadecimal. Where a piece of the text has none, that is an empty reading: others may have a turn there. */
function* encodedReadings(pieces: readonly string[], size: number): Generator<Reading> {
  let left = maxEncoded
  const runs: string[] = []
  for (const _ of replaceInPieces(pieces, encoded, longestEncoded, (run) => String(runs.push(run)))) {
    yield hiddenReading([])
    for (const run of runs.splice(0)) {
      if (left-- === 0) return
      const decoded = decode(run)
      if (isReadable(decoded)) yield hiddenReading(piecesOf(decoded, size))
    }
  }
}

function hiddenReading(pieces: Iterable<string>, turn = (letters: string) => letters): Reading {
  return { prefix: 'encoded_', pieces: mapPieces(pieces, (piece) => turn(lettersOf(piece))) }
}

function* mapPieces(pieces: Iterable<string>, map: (piece: string) => string): Generator<string> {
  for (const piece of pieces) yield map(piece)
}

/** Small letters without accents, look-alikes and what cannot be seen: each character for itself. */
function lettersOf(piece: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/^[\x00-\x7f]*$/.test(piece)) return piece.toLowerCase()
  return piece
    .replaceAll(invisible, '')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(lookalike, (letter) => lookalikes[letter])
}

/** Spaced-out words closed, in pieces. What is left is for `tidy`. */
export function closeWords(letters: Iterable<string>): Generator<string> {
  return replaceInPieces(letters, spacedWord, longestSpacedWord, (word) => word.replaceAll(/[ .\-_*]/g, ''))
}

/** Blanks single, marks gone, lines joined. A text may be tidied again when more has come behind it. */
export function tidy(letters: string): string {
  return letters
    .replaceAll(/[*_`~"“”‘’]+/g, '')
    .replaceAll(/[ \t\r\f\v]{2,}|[\t\r\f\v]/g, ' ')
    .replaceAll(/ ?\n[ \n]*/g, '\n')
    .replaceAll(/(?<=[a-z,])\n(?=[a-z])/g, ' ')
}

function decode(run: string): string {
  const isHex = /^[0-9a-fA-F]+$/.test(run) && run.length % 2 === 0
  return Buffer.from(run, isHex ? 'hex' : 'base64').toString('utf8')
}

function isReadable(text: string): boolean {
  const letters = text.match(/[\x20-\x7e\n]/g)?.length ?? 0
  return letters / text.length > 0.9
}

function characterOf(hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16))
}

/** Over bytes: a call for each letter of a long text would take ten times as long. */
function rot13(letters: string): string {
  const bytes = Buffer.from(letters, 'utf16le')
  for (let i = 0; i < bytes.length; i += 2) {
    const isLetter = bytes[i + 1] === 0 && bytes[i] >= 97 && bytes[i] <= 122
    if (isLetter) bytes[i] += bytes[i] < 110 ? 13 : -13
  }
  return bytes.toString('utf16le')
}

function reverse(letters: string): string {
  return Buffer.from(letters, 'utf16le').swap16().reverse().toString('utf16le')
}
