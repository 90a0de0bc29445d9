/** A prompt once more, with another person in it. */
import { type Axis, axes } from './swaps.ts'

export interface Counterfactual {
  readonly axis: string
  /** Which of the axis' sides the text as written names. */
  readonly original: 0 | 1
  /** The texts with every term of the axis swapped, in their order. */
  readonly texts: readonly string[]
}

const wordBefore = '(?<![\\p{L}\\p{N}_])'
const wordAfter = '(?![\\p{L}\\p{N}_])'

/** An axis ready to be looked for: where its terms stand, and what takes their place. */
interface Matcher {
  readonly axis: Axis
  readonly pattern: RegExp
  /** By the term in small letters, or as it is where case counts. */
  readonly terms: ReadonlyMap<string, { readonly side: 0 | 1; readonly other: string }>
}

const matchers = axes.map(matcherOf)

/** For each axis of which the texts together name one side and not the other. */
export function counterfactualsOf(texts: readonly string[]): Counterfactual[] {
  return matchers.flatMap((matcher) => {
    const { axis } = matcher
    if (axis.unclear !== undefined && texts.some((text) => axis.unclear!.test(text))) return []
    const sides = new Set<0 | 1>()
    const swapped = texts.map((text) => {
      return swapText(text, matcher, (side) => {
        sides.add(side)
        return true
      })
    })
    const [original, ...more] = sides
    return original === undefined || more.length > 0 ? [] : [{ axis: axis.name, original, texts: swapped }]
  })
}

/**
 * A text in which every term of an axis names its second side: two texts that differed in these alone are the same now.
 * This way round, as "her" cannot be told back to his or him.
 */
export function onSecondSide(text: string, axisName: string): string {
  const matcher = matchers.find(({ axis }) => axis.name === axisName)
  return matcher === undefined ? text : swapText(text, matcher, (side) => side === 0)
}

/** `isSwapped` is told the side of each term. */
function swapText(text: string, { axis, pattern, terms }: Matcher, isSwapped: (side: 0 | 1) => boolean): string {
  return text.replace(pattern, (_: string, article: string | undefined, found: string) => {
    const { side, other } = terms.get(keyOf(axis, found))!
    const word = isSwapped(side) ? asWritten(found, other) : found
    return article === undefined ? word : `${articleFor(article, word)} ${word}`
  })
}

function matcherOf(axis: Axis): Matcher {
  const terms = new Map<string, { side: 0 | 1; other: string }>()
  for (const [first, second] of axis.pairs) {
    terms.set(keyOf(axis, first), { side: 0, other: second })
    terms.set(keyOf(axis, second), { side: 1, other: first })
  }
  for (const [first, second] of axis.toSecond ?? []) terms.set(keyOf(axis, first), { side: 0, other: second })
  for (const [second, first] of axis.toFirst ?? []) terms.set(keyOf(axis, second), { side: 1, other: first })
  const words = [...terms.keys()].sort((a, b) => b.length - a.length).join('|')
  const source = `${wordBefore}(?:([Aa]n?) )?(${words})${wordAfter}`
  return { axis, terms, pattern: new RegExp(source, axis.isCased ? 'gu' : 'giu') }
}

function keyOf({ isCased }: Axis, term: string): string {
  return isCased ? term : term.toLowerCase()
}

/** In capitals, with a capital, or as the list has it. */
function asWritten(found: string, other: string): string {
  if (found.length > 1 && found === found.toUpperCase() && found !== found.toLowerCase()) return other.toUpperCase()
  const isCapital = found[0] !== found[0].toLowerCase()
  return isCapital ? other[0].toUpperCase() + other.slice(1) : other
}

function articleFor(article: string, word: string): string {
  // "80-year-old" is said with a vowel.
  return article[0] + (/^([aeiou]|8)/i.test(word) ? 'n' : '')
}
