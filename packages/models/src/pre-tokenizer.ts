import { z } from 'zod'
import { GPT2_PATTERN, toByteCharacters } from './byte-level.ts'
import { SplitPreTokenizer } from './hf-libraries.ts'
import { unsupportedPart } from './tokenizer-errors.ts'

const MAX_STEPS = 64

type Step = (pieces: string[], isStart: boolean) => string[]

/** Splits normalized text into the words that BPE works on. */
export interface PreTokenizer {
  /** `isStart`: the text begins where the whole input begins. */
  split(text: string, isStart: boolean): string[]
  /** What each word is mapped to before the model sees it; kept apart so that words can be cached as they are written. */
  toModelInput(word: string): string
}

const configSchema = z.looseObject({ type: z.string() })
const splitSchema = z.looseObject({
  pattern: z.union([z.strictObject({ Regex: z.string() }), z.strictObject({ String: z.string() })]),
  behavior: z.enum(['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']),
  invert: z.boolean().default(false),
})
const byteLevelSchema = z.looseObject({
  add_prefix_space: z.boolean().default(false),
  use_regex: z.boolean().default(true),
})
const digitsSchema = z.looseObject({ individual_digits: z.boolean().default(false) })
const punctuationSchema = z.looseObject({ behavior: z.enum(['Isolated', 'Contiguous']).default('Isolated') })
const metaspaceSchema = z.looseObject({
  replacement: z.string().default('▁'),
  prepend_scheme: z.enum(['always', 'never', 'first']).default('always'),
  split: z.boolean().default(true),
})
const sequenceSchema = z.looseObject({ pretokenizers: z.array(configSchema) })

/**
 * The steps are ours rather than the library's, because the library's differ from Python's: `Digits` there is ASCII
 * only, `ByteLevel` takes U+FEFF for a space and U+0085 for none, and every behaviour of `Split` but two is read as a
 * third. Patterns are still translated to JavaScript by the library.
 */
const stepsByType: Record<string, (config: unknown) => Step[]> = {
  Sequence: (config) => sequenceSchema.parse(config).pretokenizers.flatMap((inner) => stepsOf(inner)),
  ByteLevel: (config) => [...byteLevelSplits(config), (pieces) => pieces.map(toByteCharacters)],
  Digits: (config) => [isolate(digitsSchema.parse(config).individual_digits ? /\p{N}/gu : /\p{N}+/gu)],
  Punctuation: (config) => {
    const mark = String.raw`[\p{P}!-/:-@[-\x60{-~]`
    return [isolate(new RegExp(punctuationSchema.parse(config).behavior === 'Isolated' ? mark : `${mark}+`, 'gu'))]
  },
  Split: (config) => {
    const { pattern, behavior, invert } = splitSchema.parse(config)
    const regex = translate(pattern)
    if (behavior === 'Isolated') return [isolate(regex)] // keeps both sides, so `invert` changes nothing
    if (behavior !== 'Removed') throw unsupportedPart(`Split with behavior ${behavior}`, 'Isolated and Removed')
    return [each((text) => (invert ? (text.match(regex) ?? []) : text.split(regex)).filter((piece) => piece !== ''))]
  },
  Metaspace: (config) => {
    const { replacement, prepend_scheme, split } = metaspaceSchema.parse(config)
    return [
      (pieces, isStart) =>
        pieces.flatMap((piece, i) => {
          const replaced = piece.replaceAll(' ', replacement)
          const isPrefixed = prepend_scheme === 'always' || (prepend_scheme === 'first' && isStart && i === 0)
          const text = isPrefixed && !replaced.startsWith(replacement) ? replacement + replaced : replaced
          return split ? splitBefore(text, replacement) : [text]
        }),
    ]
  },
}

/** The pre-tokenizer of a tokenizer.json. Errors: `UNSUPPORTED_TOKENIZER`; a ZodError when fields are missing. */
export function createPreTokenizer(config: unknown): PreTokenizer {
  const identity = (word: string) => word
  if (config === null || config === undefined) return { split: (text) => [text], toModelInput: identity }
  // A byte mapping at the very end commutes with the cache of words: it is left to the words that the cache has not seen.
  const parts = flatten(configSchema.parse(config))
  // A byte mapping turns a letter into up to three, so a chain of them is a bomb; one is what tokenizers have.
  const mappings = parts.filter(({ type }) => type === 'ByteLevel').length
  if (mappings > 2 || parts.length > MAX_STEPS)
    throw unsupportedPart(
      `a pre-tokenizer of ${parts.length} steps, ${mappings} of them ByteLevel,`,
      `${MAX_STEPS} steps, 2 ByteLevel`,
    )
  const isByteLevel = parts.at(-1)?.type === 'ByteLevel'
  const steps = isByteLevel
    ? [...parts.slice(0, -1).flatMap(stepsOf), ...byteLevelSplits(parts.at(-1))]
    : parts.flatMap(stepsOf)
  return {
    split: (text, isStart) => steps.reduce((pieces, step) => step(pieces, isStart), [text]),
    toModelInput: isByteLevel ? toByteCharacters : identity,
  }
}

function flatten(config: z.infer<typeof configSchema>): z.infer<typeof configSchema>[] {
  return config.type === 'Sequence' ? sequenceSchema.parse(config).pretokenizers.flatMap(flatten) : [config]
}

function stepsOf(config: z.infer<typeof configSchema>): Step[] {
  if (!Object.hasOwn(stepsByType, config.type)) {
    throw unsupportedPart(`Pre-tokenizer ${config.type}`, Object.keys(stepsByType).join(', '))
  }
  return stepsByType[config.type](config)
}

function byteLevelSplits(config: unknown): Step[] {
  const { add_prefix_space, use_regex } = byteLevelSchema.parse(config)
  const prefix: Step = (pieces) => pieces.map((piece) => (piece.startsWith(' ') ? piece : ` ${piece}`))
  return [...(add_prefix_space ? [prefix] : []), ...(use_regex ? [isolate(translate({ Regex: GPT2_PATTERN }))] : [])]
}

function each(split: (text: string) => string[]): Step {
  return (pieces) => (pieces.length === 1 ? split(pieces[0]) : pieces.flatMap(split))
}

/** Matches and what lies between them, in order. */
function isolate(regex: RegExp): Step {
  return each((text) => {
    const matches = text.match(regex)
    if (matches === null) return [text]
    if (matches.reduce((length, match) => length + match.length, 0) === text.length) return matches
    const pieces: string[] = []
    let done = 0
    for (const match of text.matchAll(regex)) {
      if (match[0] === '') continue
      if (match.index > done) pieces.push(text.slice(done, match.index))
      pieces.push(match[0])
      done = match.index + match[0].length
    }
    if (done < text.length) pieces.push(text.slice(done))
    return pieces
  })
}

function splitBefore(text: string, separator: string): string[] {
  const pieces: string[] = []
  let start = 0
  for (let at = text.indexOf(separator, 1); at >= 0; at = text.indexOf(separator, at + 1)) {
    pieces.push(text.slice(start, at))
    start = at
  }
  pieces.push(text.slice(start))
  return pieces
}

function translate(pattern: { Regex: string } | { String: string }): RegExp {
  const regex = new SplitPreTokenizer({ type: 'Split', pattern, behavior: 'Isolated', invert: true }).pattern
  if (regex === null) throw unsupportedPart(`Split pattern ${JSON.stringify(pattern)}`, 'Regex and String patterns')
  return regex
}
