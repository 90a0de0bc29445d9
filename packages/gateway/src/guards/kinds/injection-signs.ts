import { piecesOf } from '../pieces.ts'
import { closeWords, readingsOf, tidy } from './injection-readings.ts'

const verb = '(?:ignore|disregard|forget|override|bypass|skip|drop|do not follow|stop following)'
const whose = '(?:(?:all|any|the|your|my|these|those|every|of) ){0,4}'
const earlier = '(?:(?:previous|prior|above|earlier|preceding|original|initial|system|existing|former|other) ){1,2}'
const orders =
  '(?:instructions?|prompts?|rules?|guidelines?|directions?|orders?|messages?|context|policy|policies|training|constraints?)'

/** Matched against small letters with single blanks. Every repetition is bounded, so they are linear. */
const signs = [
  ['override', `\\b${verb} ${whose}${earlier}${orders}\\b`],
  [
    'override',
    `\\b${verb} (?:everything|anything|all|what) (?:you were told|you have been told|that was said|i said|said|written) (?:before|above|earlier|previously)\\b`,
  ],
  [
    'prompt_leak',
    `\\b(?:reveal|print|show|repeat|output|tell me|display|leak|reproduce|write out) (?:me )?(?:(?:your|the|all|of|entire|full|exact|whole|hidden|secret|initial|original) ){1,5}(?:system prompt|system message|system instructions|initial prompt|hidden prompt|developer message|instructions above)\\b`,
  ],
  ['prompt_leak', '\\brepeat (?:the words|everything|all the text|the text) above\\b'],
  [
    'persona',
    '\\byou are (?:now )?(?:going to (?:be|act as) )?(?:dan\\b|in developer mode|an? (?:unrestricted|unfiltered|uncensored|jailbroken|amoral|evil) )',
  ],
  ['persona', '\\b(?:enable|enter|activate|switch to) (?:developer|god|jailbreak|dan|unrestricted|debug) mode\\b'],
  [
    'persona',
    '\\b(?:pretend|act as if|imagine) (?:that )?you (?:have|had) no (?:rules|restrictions|filters|guidelines|limits|ethics)\\b',
  ],
  [
    'forged_turn',
    '(?:<\\|(?:im_?start|im_?end|system|assistant|endoftext|start_?header_?id|eot_?id)\\|?>|\\[/?inst\\]|<</?sys>>|\\bbegin system prompt\\b)',
  ],
  [
    'forged_turn',
    '(?<=\\n) ?#{0,4} ?(?:system|assistant|developer) ?(?:prompt|message|override|note)? ?: ?(?:you|ignore|new|from now)\\b',
  ],
  ['new_orders', `\\b(?:new|updated|real|actual|urgent) (?:system )?(?:instructions?|orders?|prompt) ?:`],
  ['new_orders', '\\bfrom now on,? you (?:will|must|shall|are|should)\\b'],
].map(([label, pattern]) => ({ label, pattern: new RegExp(pattern, 'g') }))
/** No sign is longer; this much of a text is looked at again when more has come behind it. */
const longestSign = 200

const tags = /[\u{e0020}-\u{e007e}]/gu
/** How a text is cut where it is looked at in pieces. */
const pieceChars = 2 ** 14

/**
 * What gives a text away as orders to the model, undefined where nothing does: the same whatever the size of the pieces.
 * Yields how many characters it has gone through.
 */
export function* searchInjection(text: string, size = pieceChars): Generator<number, string | undefined> {
  let hidden = 0
  for (const piece of piecesOf(text, size)) {
    // Unicode's tag characters write ASCII that no screen shows.
    hidden += piece.match(tags)?.length ?? 0
    if (hidden >= 3) return 'hidden_text'
    yield piece.length
  }
  for (const { prefix, pieces } of readingsOf(text, size)) {
    const found = yield* searchSigns(pieces)
    if (found !== undefined) return prefix + found
    yield Math.min(text.length, size)
  }
  return undefined
}

/** The first of the signs that stands anywhere in a reading. */
function* searchSigns(letters: Iterable<string>): Generator<number, string | undefined> {
  let first = signs.length
  // A text begins like a line.
  let seen = '\n'
  for (const piece of closeWords(letters)) {
    const plain = tidy(seen + piece)
    first = matchSigns(plain, first, false)
    seen = plain.slice(-longestSign)
    yield piece.length
  }
  return signs[matchSigns(seen, first, true)]?.label
}

/** The first sign that stands in a stretch, or `first`. Its first character was looked at before. */
function matchSigns(plain: string, first: number, isEnd: boolean): number {
  // l33t letters as a second reading; the first keeps numbers as they are.
  const spelled = plain.replaceAll(/[013457@$]/g, (sign) => 'oieastas'['013457@$'.indexOf(sign)])
  const stands = ({ pattern }: (typeof signs)[number]) => {
    const texts = spelled === plain ? [plain] : [plain, spelled]
    return texts.some((text) => {
      pattern.lastIndex = 1
      // What touches the end of a stretch may be the beginning of another word.
      return pattern.test(text) && (isEnd || pattern.lastIndex < text.length)
    })
  }
  const found = signs.slice(0, first).findIndex(stands)
  return found === -1 ? first : found
}
