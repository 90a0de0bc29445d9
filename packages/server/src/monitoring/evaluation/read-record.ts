import type { EvaluationItem } from '@plumbline/evals'
import { guardVoices, type Voice } from '../../review/disagreement.ts'
import type { EvaluatorSetup } from './evaluators-of.ts'

/** What a guard found in a record. */
export interface GuardHit {
  readonly name: string
  readonly label: string | null
  readonly outcome: 'flagged' | 'redacted' | 'blocked'
}

/** A record as evaluators take it. */
export interface ReadRecord {
  /** Undefined where nothing was said that could be judged, such as calls of tools alone. */
  readonly item: EvaluationItem | undefined
  readonly guardHits: readonly GuardHit[]
  /** What guards said of the answer, those that found nothing among them. */
  readonly guardVoices: readonly Voice[]
  readonly cohorts: readonly { readonly attribute: string; readonly cohort: string }[]
}

const maxCohortLength = 64

/** Of the JSON of an interaction. Whatever a client has sent in it is looked at with care: it is its words. */
export function readRecord(body: string, setup: Pick<EvaluatorSetup, 'facts' | 'canaries' | 'cohorts'>): ReadRecord {
  const { text, choices, request, guards } = asObject(JSON.parse(body))
  const { messages, prompt, input, metadata } = asObject(request)
  const said = textOf(text) || textOf(asObject(asList(choices)[0]).refusal)
  const list = asList(messages ?? input).map(asObject)
  const asked = textOf(prompt) || textOf(input) || textOf(list.findLast(({ role }) => role === 'user')?.content)
  const { prompt_is_harmful: isHarmful } = asObject(metadata)
  const context = list.filter(isFromTool).map(({ content, output }) => textOf(content ?? output))
  const guardList = asList(guards).map(asObject)
  const answers = setup.canaries.find((canary) => canary.prompt.trim() === asked.trim())?.answers
  return {
    item:
      said === ''
        ? undefined
        : {
            prompt: asked,
            completion: said,
            ...(context.length === 0 ? {} : { context: context.join('\n') }),
            ...(setup.facts.length === 0 ? {} : { facts: setup.facts }),
            ...(answers === undefined ? {} : { answers }),
            ...(isHarmful === 'true' || isHarmful === 'false' ? { promptIsHarmful: isHarmful === 'true' } : {}),
          },
    guardHits: guardList.filter(isHit).map(toHit),
    guardVoices: guardVoices(guardList),
    cohorts: setup.cohorts.flatMap((attribute) => {
      const cohort = Object.hasOwn(asObject(metadata), attribute) ? asObject(metadata)[attribute] : undefined
      return typeof cohort === 'string' && cohort !== '' && cohort.length <= maxCohortLength
        ? [{ attribute, cohort: asStored(cohort) }]
        : []
    }),
  }
}

/** As the database has it: names that become the same there are added up before. */
function asStored(name: string): string {
  return name.toWellFormed().replaceAll('\u0000', '\ufffd')
}

/** What tools gave is what an answer is to be drawn from. */
function isFromTool({ role, type }: Readonly<Record<string, unknown>>): boolean {
  return role === 'tool' || type === 'function_call_output'
}

const hits = ['flagged', 'redacted', 'blocked']

function isHit({ outcome }: Readonly<Record<string, unknown>>): boolean {
  return hits.includes(String(outcome))
}

function toHit({ name, label, outcome }: Readonly<Record<string, unknown>>): GuardHit {
  return {
    name: String(name),
    label: typeof label === 'string' ? label : null,
    outcome: outcome as GuardHit['outcome'],
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** The text of a message's content, in one piece or several; empty where there is none. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return asList(content)
    .map((part) => asObject(part).text)
    .filter((part) => typeof part === 'string')
    .join('')
}
