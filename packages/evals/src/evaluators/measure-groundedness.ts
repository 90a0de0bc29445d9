/**
 * How often groundedness is right on constructed answers: `npm run -w @plumbline/evals measure-groundedness`. A
 * context is a real answer of XSTest; an answer drawn from it is three of its sentences with every fifth word left out;
 * an unsupported one has the middle sentence from another model's answer to the same prompt. No person labelled these,
 * so they are no calibration.
 */
import { defaultDataFolder } from '../graders/data-rows.ts'
import { readXstest } from '../graders/refusal-data.ts'
import { wilson } from '../proportions.ts'
import { groundedness } from './groundedness.ts'
import { contentOf, sentencesOf } from './words.ts'

const answers = readXstest(process.env.PLUMBLINE_DATA ?? defaultDataFolder) ?? []
const claimsOf = (text: string) => sentencesOf(text).filter((sentence) => contentOf(sentence).length >= 5)
const shortened = (sentence: string) =>
  sentence
    .split(' ')
    .filter((_, i) => i % 5 !== 4)
    .join(' ')
const label = (completion: string, context: string) => groundedness.evaluate({ prompt: '', completion, context }).label

const contexts = answers.filter(({ completion }) => claimsOf(completion).length >= 4)
const drawn: string[] = []
const swapped: string[] = []
for (const { prompt, completion, model } of contexts) {
  const own = claimsOf(completion).slice(0, 3).map(shortened)
  const other = contexts.find((answer) => answer.prompt === prompt && answer.model !== model)
  drawn.push(label(own.join('\n'), completion))
  if (other === undefined) continue
  const strange = shortened(claimsOf(other.completion)[1])
  swapped.push(label([own[0], strange, own[2]].join('\n'), completion))
}
for (const [name, labels, right] of [
  ['drawn from the context, called grounded', drawn, 'grounded'],
  ['one sentence from elsewhere, called ungrounded', swapped, 'ungrounded'],
] as const) {
  const hits = labels.filter((found) => found === right).length
  const { estimate, low, high } = wilson({ hits, n: labels.length })
  process.stdout.write(
    `${name}: ${hits} of ${labels.length}, ${estimate.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})\n`,
  )
}
