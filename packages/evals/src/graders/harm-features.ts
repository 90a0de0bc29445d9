/**
 * What the harm classifier sees of a text: words and pairs of words, pieces of words, and how many words of each group
 * of the lexicon. Words and pieces are hashed into buckets, weighed by tf-idf, each kind to length 1.
 */
import type { SparseRow } from '../logistic.ts'
import { harmLexicon } from './harm-lexicon.ts'

/** Buckets of words and pieces together; two that share one cannot be told apart. */
export const HARM_BUCKETS = 2 ** 16
/** What lies behind is not read: callers cut long texts into windows. */
const maxChars = 8192
const shortestPiece = 2
const longestPiece = 5

/** A word or piece that fewer texts have teaches nothing. */
const MIN_TEXTS = 2
/** Steps of idf in a byte: 1 / 32 is finer than it can be known. */
const IDF_STEP = 1 / 32

const groups = Object.values(harmLexicon).map(memberOf)
/** Signs of how a text is written, each with what brings it to the size of the rest. */
const shapes: readonly ((text: string, words: number) => number)[] = [
  (_, words) => Math.log(words),
  (text) => 8 * share(text, /\p{Lu}/gu),
  (text) => 2 * logCount(text, /!/g),
  (text) => 2 * logCount(text, /\?/g),
  (text) => logCount(text, /\n/g),
  (text) => 2 * logCount(text, /\*/g),
  (text) => logCount(text, /\p{Nd}/gu),
]
const dense = 3 * groups.length + shapes.length
/** Keeps lexicon and shapes at half the weight of words, or of pieces. */
const denseScale = Math.sqrt(0.5 / dense)

export const HARM_FEATURES = HARM_BUCKETS + dense

/** Of one text, before any weights. */
export interface HarmCounts {
  readonly words: ReadonlyMap<number, number>
  readonly pieces: ReadonlyMap<number, number>
  readonly dense: readonly number[]
}

export function countHarm(text: string): HarmCounts {
  const read = text.slice(0, maxChars).normalize('NFKC').replaceAll('’', "'")
  const found = read.toLowerCase().match(/[\p{L}\p{M}']+|\p{N}+/gu) ?? []
  const words = new Map<number, number>()
  const pieces = new Map<number, number>()
  let previous = '^'
  for (const word of found) {
    add(words, `w ${word}`)
    add(words, `p ${previous} ${word}`)
    previous = word
    const padded = ` ${word.slice(0, 40)} `
    for (let size = shortestPiece; size <= longestPiece; size++) {
      for (let at = 0; at + size <= padded.length; at++) add(pieces, `c ${padded.slice(at, at + size)}`)
    }
  }
  return { words, pieces, dense: denseFeatures(read, found) }
}

/** Inverse share of texts by bucket, in steps; 0 for a bucket that too few texts fall into. */
export function learnIdf(texts: readonly HarmCounts[]): Uint8Array {
  const seen = new Float64Array(HARM_BUCKETS)
  for (const { words, pieces } of texts) for (const bucket of [...words.keys(), ...pieces.keys()]) seen[bucket]++
  return Uint8Array.from(seen, (n) =>
    n < MIN_TEXTS ? 0 : Math.min(255, Math.round((1 + Math.log((1 + texts.length) / (1 + n))) / IDF_STEP)),
  )
}

export function harmFeatures({ words, pieces, dense }: HarmCounts, idf: Uint8Array): SparseRow {
  const parts = [weighed(words, idf), weighed(pieces, idf)]
  const indices = parts.flatMap((part) => part.map(([bucket]) => bucket))
  const values = parts.flatMap((part) => {
    const length = Math.sqrt(part.reduce((sum, [, value]) => sum + value * value, 0)) || 1
    return part.map(([, value]) => value / length)
  })
  dense.forEach((value, i) => {
    if (value === 0) return
    indices.push(HARM_BUCKETS + i)
    values.push(value * denseScale)
  })
  return { indices, values }
}

function weighed(counts: ReadonlyMap<number, number>, idf: Uint8Array): [number, number][] {
  return [...counts].flatMap(([bucket, n]): [number, number][] =>
    idf[bucket] === 0 ? [] : [[bucket, (1 + Math.log(n)) * idf[bucket] * IDF_STEP]],
  )
}

function denseFeatures(text: string, words: readonly string[]): number[] {
  const length = Math.max(1, words.length)
  const counts = groups.map((isMember) => words.reduce((sum, word) => sum + (isMember(word) ? 1 : 0), 0))
  return [
    ...counts.map((n) => 1.6 * Math.log1p(n)),
    ...counts.map((n) => 10 * Math.sqrt(n / length)),
    ...counts.map((n) => (n > 0 ? 2 : 0)),
    ...shapes.map((shape) => shape(text, length)),
  ]
}

function memberOf(list: string): (word: string) => boolean {
  const entries = list.split(' ')
  const whole = new Set(entries.filter((entry) => !entry.endsWith('*')))
  const starts = new Set(entries.filter((entry) => entry.endsWith('*')).map((entry) => entry.slice(0, -1)))
  const lengths = [...new Set([...starts].map((start) => start.length))]
  return (word) => whole.has(word) || lengths.some((length) => starts.has(word.slice(0, length)))
}

function add(counts: Map<number, number>, feature: string): void {
  const bucket = hash(feature) % HARM_BUCKETS
  counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
}

function share(text: string, pattern: RegExp): number {
  return (text.match(pattern)?.length ?? 0) / Math.max(1, text.length)
}

function logCount(text: string, pattern: RegExp): number {
  return Math.log1p(text.match(pattern)?.length ?? 0)
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0
  return (value ^ (value >>> 15)) >>> 0
}
