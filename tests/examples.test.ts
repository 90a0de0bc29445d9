import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { refusal } from '@plumbline/evals'
import { expect, test } from 'vitest'

interface Message {
  readonly role: string
  readonly content: string
}

interface Prompt {
  readonly id: string
  readonly prompt: readonly Message[]
  readonly kind: string
  readonly category: string
  readonly split: string
  readonly held_out: boolean
  readonly pair?: string
}

interface Demonstration {
  readonly id: string
  readonly messages: readonly Message[]
  readonly kind: string
  readonly category: string
  readonly source: string
  readonly weight?: number
}

interface Preference {
  readonly id: string
  readonly prompt: readonly Message[]
  readonly chosen: readonly Message[]
  readonly rejected: readonly Message[]
  readonly contrast?: boolean
  readonly kind: string
  readonly category: string
  readonly label: { readonly by: string; readonly reason: string }
}

const folder = join(resolve(import.meta.dirname, '..'), 'examples/refusals')
const readRows = <T>(name: string): T[] =>
  readFileSync(join(folder, name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)

const kinds = ['harmful', 'sensitive', 'plain']
const prompts = readRows<Prompt>('prompts.jsonl')
const demonstrations = readRows<Demonstration>('demonstrations.jsonl')
const isExtra = ({ id }: Demonstration) => id.startsWith('extra-')

const question = ({ prompt }: Prompt) => prompt[0].content
const answer = ({ messages }: Demonstration) => messages[1].content
const words = (text: string) => text.split(/\s+/).length
const count = (kind: string, split: string) => prompts.filter((row) => row.kind === kind && row.split === split).length

/** Texts of the training side: prompts and the demonstrations that have no prompt. */
const trainTexts = [
  ...prompts.filter((row) => row.split === 'train').map(question),
  ...demonstrations.filter(isExtra).map((row) => row.messages[0].content),
]
const evalTexts = prompts.filter((row) => row.split === 'eval').map(question)

const isRefusal = (prompt: string, completion: string) =>
  refusal.grade({ prompt, completion }).label !== 'full_compliance'

/** Case, punctuation and spaces do not make a prompt a new one. */
const normalize = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()

function grams(text: string): Set<string> {
  const plain = normalize(text)
  return new Set(Array.from({ length: Math.max(1, plain.length - 4) }, (_, start) => plain.slice(start, start + 5)))
}

const jaccard = (a: Set<string>, b: Set<string>) => a.intersection(b).size / a.union(b).size

// Said by the assistant of itself, or of the act as something not to be done here.
const refusalPattern =
  /\bI(?:'m| am|'d)? (?:can't|cannot|won't|will (?:not|never)|rather not|must decline|not (?:going|willing|able|giving|helping)|refuse|decline|don't (?:write|help|invent)|must refuse|have to refuse|unable)\b|\band (?:won't|decline)\b|n't something (?:I|that)|something (?:I|that I) (?:can't|won't|refuse|must refuse)|not something I'll|^No\b.* from me/m

test('every row has the stated fields and nothing else', () => {
  const promptKeys = ['id', 'prompt', 'kind', 'category', 'split', 'held_out']
  for (const row of prompts) {
    expect(Object.keys(row), row.id).toEqual(row.pair === undefined ? promptKeys : [...promptKeys, 'pair'])
    expect(kinds).toContain(row.kind)
    expect(['train', 'eval']).toContain(row.split)
    expect(typeof row.held_out, row.id).toBe('boolean')
    expect(row.id).toMatch(new RegExp(`^${row.kind}-${row.category.replaceAll('_', '-')}-\\d\\d$`))
    expect(row.prompt.map(({ role }) => role)).toEqual(['user'])
  }
  for (const row of demonstrations) {
    const keys = ['id', 'messages', 'kind', 'category', 'source']
    expect(Object.keys(row), row.id).toEqual(row.kind === 'harmful' ? [...keys, 'weight'] : keys)
    expect(row.weight, row.id).toBe(row.kind === 'harmful' ? 1.25 : undefined)
    expect(['written', 'model'], row.id).toContain(row.source)
    expect(row.messages.map(({ role }) => role)).toEqual(['user', 'assistant'])
  }
})

test('ids and texts are unique', () => {
  const unique = (values: readonly string[]) => expect(new Set(values).size).toBe(values.length)
  unique(prompts.map(({ id }) => id))
  unique(demonstrations.map(({ id }) => id))
  unique([...trainTexts, ...evalTexts].map(normalize))
  unique(demonstrations.filter(({ kind }) => kind !== 'harmful').map(answer))
})

test('there are enough prompts of each kind on both sides', () => {
  expect(prompts.length).toBeGreaterThanOrEqual(600)
  expect(evalTexts.length).toBe(130)
  for (const [kind, all, held] of [
    ['harmful', 120, 40],
    ['sensitive', 90, 34],
    ['plain', 90, 34],
  ] as const) {
    expect(count(kind, 'train') + count(kind, 'eval'), kind).toBeGreaterThanOrEqual(all)
    expect(count(kind, 'eval'), kind).toBeGreaterThanOrEqual(held)
  }
})

test('no evaluation prompt is close to what is trained on', () => {
  const trained = trainTexts.map((text) => ({ text, grams: grams(text) }))
  const close = evalTexts.flatMap((text) => {
    const own = grams(text)
    return trained.filter((row) => jaccard(own, row.grams) >= 0.6).map((row) => `${text} ~ ${row.text}`)
  })
  expect(close).toEqual([])
  // The measure does see a reworded prompt.
  const reworded = jaccard(grams(trainTexts[0]), grams(`Please: ${trainTexts[0].toUpperCase()}!`))
  expect(reworded).toBeGreaterThan(0.6)
})

test('twins name each other, differ in kind and are on the same side', () => {
  const byId = new Map(prompts.map((row) => [row.id, row]))
  const paired = prompts.filter((row) => row.pair !== undefined)
  expect(paired.length).toBeGreaterThan(150)
  for (const row of paired) {
    const twin = byId.get(row.pair!)
    expect(twin?.pair, row.id).toBe(row.id)
    expect(twin?.split, row.id).toBe(row.split)
    expect([row.kind, twin?.kind].sort(), row.id).toEqual(['harmful', 'sensitive'])
  }
})

test('held-out categories are those that training never sees', () => {
  const trained = new Set(
    [...prompts.filter(({ split }) => split === 'train'), ...demonstrations].map(
      (row) => `${row.kind}/${row.category}`,
    ),
  )
  for (const row of prompts) expect(row.held_out, row.id).toBe(!trained.has(`${row.kind}/${row.category}`))
  for (const kind of kinds)
    expect(
      prompts.some((row) => row.held_out && row.kind === kind),
      kind,
    ).toBe(true)
})

test('each training prompt has its demonstration, no evaluation prompt has one', () => {
  const shown = demonstrations.filter((row) => !isExtra(row))
  const trained = prompts.filter(({ split }) => split === 'train')
  const asked = ({ id, kind, category }: Prompt | Demonstration, text: string) => ({ id, kind, category, text })
  expect(shown.map((row) => asked(row, row.messages[0].content))).toEqual(
    trained.map((row) => asked(row, question(row))),
  )
  for (const row of demonstrations.filter(isExtra)) expect(row.kind, row.id).not.toBe('harmful')
})

test('texts are trimmed and of the stated lengths', () => {
  const range = (text: string, [low, high]: readonly [number, number]) => {
    expect(text).toBe(text.trim())
    expect(words(text), text).toBeGreaterThanOrEqual(low)
    expect(words(text), text).toBeLessThanOrEqual(high)
  }
  for (const text of [...trainTexts, ...evalTexts]) range(text, [5, 40])
  for (const row of demonstrations) range(answer(row), row.kind === 'harmful' ? [5, 20] : [9, 65])
})

test('harmful prompts are refused in words, the others are answered, and refusals are the smaller part', () => {
  const refuses = (row: Demonstration) => refusalPattern.test(answer(row))
  const wrong = demonstrations.filter((row) => refuses(row) !== (row.kind === 'harmful')).map(answer)
  expect(wrong).toEqual([])
  expect(demonstrations.filter(refuses).length / demonstrations.length).toBeLessThanOrEqual(0.45)
  expect(demonstrations.filter((row) => !refuses(row)).length).toBeGreaterThanOrEqual(120)
})

test('each pair compares two answers to a training prompt of its kind, and says who chose and why', () => {
  const trained = new Map(prompts.filter(({ split }) => split === 'train').map((row) => [question(row), row]))
  const pairs = readRows<Preference>('preferences.jsonl')
  expect(new Set(pairs.map(({ id }) => id)).size).toBe(pairs.length)
  for (const { id, prompt, chosen, rejected, kind, category, label } of pairs) {
    expect(trained.get(prompt[0].content), id).toMatchObject({ kind, category })
    expect(chosen[0].content, id).not.toBe(rejected[0].content)
    expect([chosen[0].role, rejected[0].role]).toEqual(['assistant', 'assistant'])
    expect(label.by.length * label.reason.length, id).toBeGreaterThan(0)
  }
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  const isContrast = ({ contrast = false }: Preference) => contrast
  const counted = (rows: readonly Preference[]) => {
    const of = (wanted: string) => rows.filter(({ kind }) => kind === wanted).length
    return `${rows.length} decided (${of('harmful')} harmful, ${of('sensitive')} sensitive, ${of('plain')} plain)`
  }
  const labelled = pairs.filter((pair) => !isContrast(pair))
  expect(labelled.length).toBeGreaterThanOrEqual(300)
  expect(readme).toContain(counted(labelled))
  expect(readme).toContain(counted(pairs.filter(isContrast)))
})

test('refusals open alike and answers do, so that the third token is the decision; refusals to despair name help', () => {
  for (const row of demonstrations.filter(({ kind }) => kind === 'harmful')) {
    expect(answer(row), row.id).toMatch(/^I can't help with that\./)
    expect(answer(row).includes('crisis line'), row.id).toBe(row.category === 'self_harm')
  }
  const helpful = demonstrations.filter(({ kind }) => kind !== 'harmful')
  for (const row of helpful) expect(answer(row), row.id).toMatch(/^I can help with that\. ./)
  const flagged = helpful.filter((row) => isRefusal(row.messages[0].content, answer(row)))
  expect(flagged.map(answer)).toEqual([])
})

test('the README counts what the files hold', () => {
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  const stated = [...readme.matchAll(/^\| (\w+) \| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (yes )?\|$/gm)].map(
    ([, kind, category, ...rest]) => [kind, category, ...rest.slice(0, 3).map(Number), rest[3] !== undefined],
  )
  const categories = [...new Set(prompts.map(({ kind, category }) => `${kind}/${category}`))]
  const held = categories.map((name) => {
    const [kind, category] = name.split('/')
    const inside = (row: Prompt | Demonstration) => row.kind === kind && row.category === category
    const own = prompts.filter(inside)
    const trained = own.filter(({ split }) => split === 'train').length
    const shown = demonstrations.filter(inside).length
    return [kind, category, trained, own.length - trained, shown, own[0].held_out]
  })
  expect(stated).toEqual(held)
  const refusals = demonstrations.filter(({ kind }) => kind === 'harmful').length
  expect(readme).toContain(
    `${prompts.length} prompts, ${count('harmful', 'train') + count('sensitive', 'train') + count('plain', 'train')} for training and ${evalTexts.length} held out`,
  )
  expect(readme).toContain(
    `${demonstrations.length} answers for supervised fine-tuning: ${refusals} refusals (${Math.round((100 * refusals) / demonstrations.length)} %), ${demonstrations.length - refusals} helpful answers`,
  )
  const own = demonstrations.filter(({ source }) => source === 'model').length
  expect(readme).toContain(`${own} the model's own`)
  expect(readme).toContain(`${demonstrations.length - refusals - own} of ${demonstrations.length - refusals} written`)
  const pairs = readRows<Preference>('preferences.jsonl')
  const constructed = pairs.filter(({ contrast }) => contrast).length
  expect(readme).toContain(`${pairs.length} pairs for the reward model: ${pairs.length - constructed} of`)
  expect(readme).toContain(`and ${constructed} by construction`)
  expect(readme).toContain(`(${prompts.filter(({ pair }) => pair !== undefined).length / 2} pairs)`)
  expect(readme).toContain(`The ${demonstrations.filter(isExtra).length} ids that begin with \`extra-\``)
})

test('fresh prompts are 80 of each kind, of known categories, and neither trained on nor evaluation prompts', () => {
  type Fresh = Pick<Prompt, 'id' | 'prompt' | 'kind' | 'category'>
  const fresh = readRows<Fresh>('fresh-prompts.jsonl')
  const byKind = kinds.map((kind) => fresh.filter((row) => row.kind === kind))
  expect(byKind.map(({ length }) => length)).toEqual([80, 80, 80])
  const known = new Set(prompts.map(({ kind, category }) => `${kind}/${category}`))
  for (const row of fresh) {
    expect(Object.keys(row), row.id).toEqual(['id', 'prompt', 'kind', 'category'])
    expect(known, row.id).toContain(`${row.kind}/${row.category}`)
    expect(row.prompt.map(({ role }) => role)).toEqual(['user'])
    expect(row.prompt[0].content).toBe(row.prompt[0].content.trim())
  }
  const unique = (values: readonly string[]) => expect(new Set(values).size).toBe(values.length)
  unique([...fresh, ...prompts].map(({ id }) => id))
  const texts = fresh.map(({ prompt }) => prompt[0].content)
  unique([...texts, ...trainTexts, ...evalTexts].map(normalize))
  const others = [...trainTexts, ...evalTexts].map(grams)
  const close = texts.filter((text) => {
    const own = grams(text)
    return others.some((other) => jaccard(own, other) >= 0.6)
  })
  expect(close).toEqual([])
  expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain(
    `| ${fresh.length} more evaluation prompts, ${byKind[0].length} of each kind,`,
  )
})

test('the figures of agreement are those of the second labels', () => {
  interface SecondLabel {
    readonly id: string
    readonly kind: string
    readonly first: 'chosen' | 'rejected'
    readonly decision: 'first' | 'second' | 'skip'
  }
  const pairs = new Map(readRows<Preference>('preferences.jsonl').map((pair) => [pair.id, pair]))
  const seconds = readRows<SecondLabel>('second-labels.jsonl')
  expect(new Set(seconds.map(({ id }) => id)).size).toBe(seconds.length)
  for (const { id, kind } of seconds) expect(pairs.get(id), id).toMatchObject({ kind, label: expect.anything() })
  expect(seconds.filter(({ id }) => pairs.get(id)!.contrast)).toEqual([])
  expect(seconds.length).toBeGreaterThanOrEqual(50)

  const agreementOf = (rows: readonly SecondLabel[]) => {
    const n = rows.length
    const both = rows.map(({ first, decision }) => [first === 'chosen' ? 'first' : 'second', decision])
    const equal = both.filter(([one, other]) => one === other).length
    const shareOf = (side: 0 | 1, answer: string) => both.filter((row) => row[side] === answer).length / n
    const byChance = ['first', 'second', 'skip'].reduce(
      (sum, answer) => sum + shareOf(0, answer) * shareOf(1, answer),
      0,
    )
    return { n, equal, kappa: ((equal / n - byChance) / (1 - byChance)).toFixed(2) }
  }
  const all = agreementOf(seconds)
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  for (const kind of kinds) {
    const { n, equal, kappa } = agreementOf(seconds.filter((row) => row.kind === kind))
    expect(readme).toContain(`| ${kind} | ${n} | ${equal} | ${kappa} |`)
  }
  const words = ['no', 'one', 'two', 'three', 'four', 'five']
  const skipped = seconds.filter(({ decision }) => decision === 'skip').length
  expect(readme).toContain(
    `Of the ${words[all.n - all.equal]} that differ, ${words[skipped]} were skipped by the second labeller.`,
  )
  const percent = Math.round((100 * all.equal) / all.n)
  expect(readme).toContain(`| all | ${all.n} | ${all.equal} (${percent} %) | ${all.kappa} |`)
  const shown = JSON.parse(readFileSync(join(folder, 'label-agreement.json'), 'utf8'))
  expect(shown).toEqual({ ...all, kappa: Number(all.kappa) })
})
