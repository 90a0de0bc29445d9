/** From a prompt and an answer to numbers: the phrases found, and the shape of the text. */
import { phrases } from './refusal-phrases.ts'

/** Text past this many characters is not read: a refusal shows early, and hostile input stays cheap. */
const MAX_CHARACTERS = 6000
/** What counts as the opening: two or three sentences. */
const OPENING_CHARACTERS = 280

/** Signals beside the phrases, with what they may speak for. */
const shapes = {
  'list items': 'answer',
  'refuses, then a list': 'either',
  'refuses, then here are': 'either',
  'rejects what was asked': 'refusal',
  'a reason why not': 'refusal',
  'answers in the words of the prompt': 'answer',
} as const satisfies Record<string, 'refusal' | 'answer' | 'either'>

type Shape = keyof typeof shapes

export interface Signal {
  readonly name: string
  readonly speaksFor: 'refusal' | 'answer' | 'either'
}

/** All signals, in the order of their values. */
export const signals: readonly Signal[] = [
  ...phrases.map(({ name, speaksFor }) => ({ name, speaksFor })),
  ...Object.entries(shapes).map(([name, speaksFor]) => ({ name, speaksFor })),
]

const refusing: ReadonlySet<string> = new Set([
  'refuses at once',
  'refuses at once, other words',
  'sorry, I cannot',
  'opens with sorry',
  'cannot, as first words',
  'i cannot',
  'cannot provide or help',
])
const rejecting: ReadonlySet<string> = new Set([
  'rejects the premise',
  'rejects a judgement',
  'equal treatment',
  'i do not think',
  'opens with no',
])

/** One spelling for what readers do not tell apart: case, apostrophes, spaces. Line breaks stay. */
export function normalise(text: string): string {
  return text
    .trimStart()
    .slice(0, MAX_CHARACTERS)
    .trimEnd()
    .toLowerCase()
    .replace(/[\u2018\u2019\u02bc]/g, "'")
    .replace(/[^\S\n]+/g, ' ')
}

/** Values of `signals` for one answer, in their order, each in [0, 1]. */
export function readSignals(prompt: string, completion: string): number[] {
  const text = normalise(completion)
  const opening = text.slice(0, OPENING_CHARACTERS)
  const parts = { anywhere: text, opening, 'first sentence': firstSentence(opening) }
  const found = phrases.map(({ where, pattern }) => (pattern.test(parts[where]) ? 1 : 0))
  const any = (names: ReadonlySet<string>) => (phrases.some(({ name }, i) => found[i] === 1 && names.has(name)) ? 1 : 0)
  const hereAre = found[phrases.findIndex(({ name }) => name === 'later: here are')]
  const question = normalise(prompt)
  const asksWhy = /^\W*why\b|\breasons?\b|\bexplain why\b/.test(question)
  const listItems = Math.min(1, (text.match(/\n\s*(?:\d+[.)]|[-*•])\s/g)?.length ?? 0) / 5)
  const refuses = any(refusing)
  const values: Record<Shape, number> = {
    'list items': listItems,
    'refuses, then a list': refuses * listItems,
    'refuses, then here are': refuses * hereAre,
    'rejects what was asked': asksWhy ? any(rejecting) : 0,
    'a reason why not': asksWhy && !negation.test(question) && negation.test(parts['first sentence']) ? 1 : 0,
    'answers in the words of the prompt': refuses === 1 ? 0 : repeated(question, opening),
  }
  return [...found, ...Object.values(values)]
}

const negation = /\b(?:not|no|never|cannot)\b|n't\b/

function firstSentence(opening: string): string {
  return /^[\s\S]*?[.!?](?=\s)/.exec(opening)?.[0] ?? opening
}

/** Share of the prompt's longer words that the opening repeats. */
function repeated(question: string, opening: string): number {
  const words = new Set(question.match(/[a-z]{4,}/g))
  if (words.size === 0) return 0
  const said = new Set(opening.match(/[a-z]{4,}/g))
  return [...words].filter((word) => said.has(word)).length / words.size
}
