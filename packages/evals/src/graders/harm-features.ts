/** What the harm classifier sees of a text: words, pairs of words and pieces of words, hashed into buckets. */
import type { SparseRow } from '../logistic.ts'

/** Buckets; two features that share one cannot be told apart. */
export const HARM_BUCKETS = 2 ** 15
/** What lies behind is not read: callers cut long texts into windows. */
const maxChars = 8192
const shortestPiece = 3
const longestPiece = 5

/** Counts, damped by the square root, of length 1 as a vector. */
export function harmFeatures(text: string): SparseRow {
  const counts = new Map<number, number>()
  const add = (feature: string) => {
    const bucket = hash(feature) % HARM_BUCKETS
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
  }
  let previous = '^'
  for (const word of wordsOf(text)) {
    add(`w ${word}`)
    add(`p ${previous} ${word}`)
    previous = word
    const padded = ` ${word} `
    for (let size = shortestPiece; size <= longestPiece; size++) {
      for (let at = 0; at + size <= padded.length; at++) add(`c ${padded.slice(at, at + size)}`)
    }
  }
  const indices = [...counts.keys()].sort((a, b) => a - b)
  const damped = indices.map((index) => Math.sqrt(counts.get(index)!))
  const length = Math.hypot(...damped) || 1
  return { indices, values: damped.map((value) => value / length) }
}

function wordsOf(text: string): string[] {
  return (
    text
      .slice(0, maxChars)
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}'’]+|\p{N}+/gu) ?? []
  )
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0
  return (value ^ (value >>> 15)) >>> 0
}
