import { RE2JS } from 're2js'

const verb = '(?:ignore|disregard|forget|override|bypass|skip|drop|do not follow|stop following)'
const whose = '(?:(?:all|any|the|your|my|these|those|every|of) ){0,4}'
const earlier = '(?:(?:previous|prior|above|earlier|preceding|original|initial|system|existing|former|other) ){1,2}'
const orders =
  '(?:instructions?|prompts?|rules?|guidelines?|directions?|orders?|messages?|context|policy|policies|training|constraints?)'

/** Matched against small letters with single blanks. */
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
    '(?:^|\\n) ?#{0,4} ?(?:system|assistant|developer) ?(?:prompt|message|override|note)? ?: ?(?:you|ignore|new|from now)\\b',
  ],
  ['new_orders', `\\b(?:new|updated|real|actual|urgent) (?:system )?(?:instructions?|orders?|prompt) ?:`],
  ['new_orders', '\\bfrom now on,? you (?:will|must|shall|are|should)\\b'],
].map(([label, pattern]) => ({ label, pattern: RE2JS.compile(pattern) }))

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
const maxDecoded = 20

/** What gives a text away as orders to the model, undefined where nothing does. */
export function findInjection(text: string): string | undefined {
  const hidden = tagText(text)
  if (hidden.length >= 3) return 'hidden_text'
  const plain = normalise(text)
  const found = match(plain)
  if (found !== undefined) return found
  for (const decoded of decodings(text)) {
    const inside = match(normalise(decoded))
    if (inside !== undefined) return `encoded_${inside}`
  }
  return undefined
}

function match(plain: string): string | undefined {
  // l33t letters as a second reading; the first keeps numbers as they are.
  const spelled = plain.replaceAll(/[013457@$]/g, (sign) => 'oieastas'['013457@$'.indexOf(sign)])
  return signs.find(({ pattern }) => pattern.test(plain) || pattern.test(spelled))?.label
}

/** Small letters without accents, look-alikes and what cannot be seen; blanks single; spaced-out words closed. */
function normalise(text: string): string {
  const letters = text
    .replaceAll(invisible, '')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/\P{ASCII}/gu, (letter) => lookalikes[letter] ?? letter)
  const closed = letters.replaceAll(/(?<![a-z])(?:[a-z][ .\-_*]){3,60}[a-z](?![a-z])/g, (word) =>
    word.replaceAll(/[ .\-_*]/g, ''),
  )
  return closed
    .replaceAll(/[ \t\r\f\v]+/g, ' ')
    .replaceAll(/[*_`~"“”‘’]+/g, '')
    .replaceAll(/ ?\n[ \n]*/g, '\n')
    .replaceAll(/(?<=[a-z,])\n(?=[a-z])/g, ' ')
}

/** Unicode's tag characters write ASCII that no screen shows. */
function tagText(text: string): string {
  return [...text.matchAll(/[\u{e0020}-\u{e007e}]/gu)]
    .map(([tag]) => String.fromCodePoint(tag.codePointAt(0)! - 0xe0000))
    .join('')
}

/** What stands in a text as base64, hexadecimal, percent or backslash escapes. */
function* decodings(text: string): Generator<string> {
  let left = maxDecoded
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{16,8192}={0,2}/g)) {
    if (left-- === 0) return
    const isHex = /^[0-9a-fA-F]+$/.test(run) && run.length % 2 === 0
    const decoded = Buffer.from(run, isHex ? 'hex' : 'base64').toString('utf8')
    if (isReadable(decoded)) yield decoded
  }
  if (/%[0-9a-f]{2}/i.test(text))
    yield text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  if (/\\u[0-9a-f]{4}|\\x[0-9a-f]{2}/i.test(text)) {
    yield text.replaceAll(/\\u([0-9a-f]{4})|\\x([0-9a-f]{2})/gi, (_, long, short) =>
      String.fromCharCode(Number.parseInt(long ?? short, 16)),
    )
  }
  // ROT13 and reversed text are read whole: both are cheap.
  yield text.replaceAll(/[a-z]/gi, (letter) =>
    String.fromCharCode(letter.charCodeAt(0) + (/[a-m]/i.test(letter) ? 13 : -13)),
  )
  yield [...text].toReversed().join('')
}

function isReadable(text: string): boolean {
  const letters = text.match(/[\x20-\x7e\n]/g)?.length ?? 0
  return letters / text.length > 0.9
}
