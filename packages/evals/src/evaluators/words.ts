/** Texts as words, numbers and sentences, for evaluators that compare them. */

/** What lies behind is not read. */
const MAX_CHARACTERS = 50_000

/** Small words of English, which say nothing about what is claimed. */
const small = new Set(
  'a about above after again all also am an and any are as at be because been before being below between both but by can could did do does doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just me more most my no nor not now of off on once only or other our ours out over own same she should so some such than that the their them then there these they this those through to too under until up very was we were what when where which while who whom why will with would you your yours'.split(
    ' ',
  ),
)

/** Lower case, one kind of apostrophe, words and numbers apart by one space: `1,000.50` is `1000.5`. */
export function normalised(text: string): string {
  return wordsOf(text).join(' ')
}

/** Words and numbers in order, numbers by their value. */
function wordsOf(text: string): string[] {
  const found = text
    .slice(0, MAX_CHARACTERS)
    .normalize('NFKC')
    .replaceAll('’', "'")
    .toLowerCase()
    .match(/\d[\d,]*(?:\.\d+)?|[\p{L}\p{M}]+(?:'[\p{L}\p{M}]+)*/gu)
  return (found ?? []).map((word) => (/^\d/.test(word) ? String(Number(word.replaceAll(',', ''))) : word))
}

/** Words that carry a claim, cut to their stems: numbers, and words that are not small. */
export function contentOf(text: string): string[] {
  return wordsOf(text)
    .filter((word) => !small.has(word.replace(/'.*$/, '')))
    .map(stem)
}

/** Numbers of a text by their value. */
export function numbersOf(text: string): Set<string> {
  return new Set(wordsOf(text).filter((word) => /^\d/.test(word)))
}

/** Names: words with a capital that do not open a sentence, as stems. */
export function namesOf(sentence: string): string[] {
  const found = sentence.matchAll(/(?<=[\p{L}\p{N},;:'’)] )\p{Lu}[\p{L}\p{M}]+/gu)
  return [...found].map(([name]) => stem(name.toLowerCase())).filter((name) => !small.has(name))
}

/** Sentences and lines; a full stop inside a number or after a single letter ends none. */
export function sentencesOf(text: string): string[] {
  return text
    .slice(0, MAX_CHARACTERS)
    .split(/(?<=[\p{L}\p{N})"”'’]{2}[.!?]["”'’)]?)\s+(?=["“'‘(]?[\p{Lu}\p{N}])|\n+/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')
}

/** A few endings taken off: enough for "visited" to meet "visits". */
function stem(word: string): string {
  if (word.length < 5) return word.replace(/(?<=\p{L}{2}[^s\d])s$/u, '')
  return word
    .replace(/'s$/, '')
    .replace(/(?:ies|ied)$/, 'y')
    .replace(/(?<=\p{L}{3})(?:ing|edly|ed|ly|es|s|e)$/u, '')
}
