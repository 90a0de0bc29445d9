import type { AlignReport, AlignStage, OutcomeLabel, PromptKind } from '@plumbline/contracts'
import { kindFacts, kinds, stageFacts, stages } from './facts.ts'
import { html, type Markup } from './markup.ts'
import { shortNumber, wholeNumber } from './numbers.ts'

type Sample = AlignReport['samples'][number]
type Answer = NonNullable<Sample['answers'][AlignStage]>

/** Shown at once; more of them are folded away. */
const shownAtOnce = 12
/** Characters of a text that are shown at once, and at all: a page of a megabyte helps nobody. */
const shortText = 420
const longestText = 20_000

const labelsOf = ({ answers }: Sample) => stages.flatMap((stage) => answers[stage]?.label ?? [])

/** Whether the stages were graded differently. */
const isChanged = (sample: Sample): boolean => new Set(labelsOf(sample)).size > 1

function text(value: string): Markup {
  // By code points, so that no character is cut in two.
  const letters = [...value.slice(0, longestText * 2)]
  const cut = (from: number, to: number) => letters.slice(from, to).join('')
  if (letters.length <= shortText)
    return html`<p class="text" dir="auto">${value === '' ? html`<i>(empty)</i>` : value}</p>`
  const hidden = [...value].length - longestText
  const more = hidden > 0 ? html`<p class="note">${wholeNumber(hidden)} more characters are in report.json.</p>` : null
  return html`<p class="text" dir="auto">${cut(0, shortText)}…</p><details class="rest"><summary>Rest of the text</summary><p class="text" dir="auto">…${cut(shortText, longestText)}</p>${more}</details>`
}

function badge(label: OutcomeLabel, kind: PromptKind): Markup {
  if (label === 'empty' || label === 'error')
    return html`<span class="badge neutral">– ${label === 'error' ? 'not graded' : label}</span>`
  const isUnwanted = label === kindFacts[kind].unwanted
  return html`<span class="badge ${isUnwanted ? 'unwanted' : 'wanted'}">${isUnwanted ? '✕' : '✓'} ${label}</span>`
}

function answerColumn(answer: Answer | undefined, stage: AlignStage, kind: PromptKind): Markup {
  const { short, colour } = stageFacts[stage]
  const head = html`<h4 class="${colour}">${short}</h4>`
  if (answer === undefined) return html`<div class="answer">${head}<p class="note">not sampled</p></div>`
  const cut = answer.cut_at !== undefined && html`<p class="note">cut at ${wholeNumber(answer.cut_at)} tokens</p>`
  const reward = answer.reward !== null && html`<span class="reward">reward ${shortNumber(answer.reward)}</span>`
  return html`<div class="answer"><div class="answer-head">${head}${badge(answer.label, kind)}${reward}</div>${text(answer.text)}${cut}</div>`
}

function sampleCard(sample: Sample, shown: readonly AlignStage[]): Markup {
  const { kind, category, prompt, answers } = sample
  const change = isChanged(sample) ? 'is-changed' : 'is-same'
  return html`<article class="card sample k-${kind} ${change}"><header><p class="tags"><span class="tag">${kindFacts[kind].name}</span>${
    category !== '' && html`<span class="tag">${category}</span>`
  }</p><h3 class="hidden">Prompt</h3><div class="prompt">${text(prompt)}</div></header><div class="answers n${shown.length}">${shown.map((stage) => answerColumn(answers[stage], stage, kind))}</div></article>`
}

/** Radio buttons that CSS listens to: the page has no script. */
function filters(samples: readonly Sample[]): Markup {
  const radio = (group: string, id: string, label: string, n: number, isChecked: boolean) =>
    html`<label><input type="radio" name="${group}" id="${id}"${isChecked && html` checked`}><span>${label} <small>${n}</small></span></label>`
  const byKind = kinds
    .map((kind) => ({ kind, n: samples.filter((sample) => sample.kind === kind).length }))
    .filter(({ n }) => n > 0)
    .map(({ kind, n }) => radio('kind', `show-${kind}`, kindFacts[kind].name, n, false))
  const changed = samples.filter(isChanged).length
  return html`<div class="filters"><fieldset><legend>Prompts</legend>${radio('kind', 'show-all', 'all', samples.length, true)}${byKind}</fieldset><fieldset><legend>Verdict</legend>${radio('change', 'show-any', 'any', samples.length, true)}${radio('change', 'show-changed', 'changed', changed, false)}${radio('change', 'show-same', 'same at all stages', samples.length - changed, false)}</fieldset></div>`
}

/** Answers of all stages side by side, those that changed first. */
export function samplesSection({ samples }: AlignReport): Markup | undefined {
  if (samples.length === 0) return undefined
  const order = (sample: Sample) => (isChanged(sample) ? 0 : kinds.length) + kinds.indexOf(sample.kind)
  const sorted = samples.toSorted((a, b) => order(a) - order(b))
  const shown = stages.filter((stage) => samples.some(({ answers }) => answers[stage] !== undefined))
  const cards = sorted.map((sample) => sampleCard(sample, shown))
  const more = cards.slice(shownAtOnce)
  return html`<section id="answers" aria-labelledby="answers-h"><h2 id="answers-h">Answers side by side</h2><p class="about">Held-out prompts; answers whose verdict changed come first. ✓ and ✕ say whether the verdict of the grader is the one that one wants for such a prompt. Some prompts and answers are harmful.</p>${filters(samples)}<div class="samples">${cards.slice(0, shownAtOnce)}</div>${
    more.length > 0 &&
    html`<details class="more"><summary>Show the other ${more.length}</summary><div class="samples">${more}</div></details>`
  }</section>`
}
