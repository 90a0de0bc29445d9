import { Button, NativeSelect, TextInput } from '@mantine/core'
import type { EvaluatorList, FeedbackKind, Termination } from '@plumbline/contracts'
import type { FormEvent } from 'react'
import { addressOf, go } from '../address.ts'
import { useAnswer } from '../use-answer.ts'
import { visible } from './content.tsx'
import { verdicts } from './evaluations.tsx'

const first = ['text', 'evaluator', 'verdict', 'feedback'] as const
const further = ['category', 'model', 'termination', 'subject', 'key', 'since', 'until'] as const
const names = [...first, ...further]
export type Filters = Partial<Record<(typeof names)[number], string>>

export function readFilters(query: URLSearchParams): Filters {
  return Object.fromEntries(names.flatMap((name) => (query.get(name) ? [[name, query.get(name) as string]] : [])))
}

/** Each is a key here, so that one which is missing does not compile. */
const terminations: Record<Termination, true> = {
  completed: true,
  upstream_error: true,
  no_upstream: true,
  fallback_answer: true,
  upstream_unreachable: true,
  input_blocked: true,
  upstream_reset: true,
  upstream_incomplete: true,
  upstream_invalid: true,
  timeout_connect: true,
  timeout_first_token: true,
  timeout_idle: true,
  timeout_total: true,
  client_abort: true,
  client_stalled: true,
  shutdown: true,
}

const feedbackKinds: Record<FeedbackKind, string> = {
  flag: 'a flag',
  rating: 'a rating',
  correction: 'a better answer',
  preference: 'which of two is better',
  comment: 'a comment',
}

/** The filters go into the address: a view can be linked and gone back to. */
export function AnswerFilters({ filters }: { readonly filters: Filters }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const given = Object.fromEntries(names.map((name) => [name, String(form.get(name) ?? '').trim()]))
    for (const name of ['since', 'until']) given[name] = toIso(given[name])
    go(addressOf(['answers'], given))
  }
  const isAny = Object.keys(filters).length > 0
  return (
    // Its fields begin anew with each address.
    <form className="filters" onSubmit={submit} key={JSON.stringify(filters)} aria-label="Filter answers">
      <TextInput name="text" label="Text" minLength={2} maxLength={200} defaultValue={filters.text} />
      <EvaluatorSelect value={filters.evaluator} />
      <NativeSelect name="verdict" label="Verdict" defaultValue={filters.verdict}>
        <option value="">any or none</option>
        {verdictOptions.map((value) => (
          <option key={value} value={value}>
            {verdicts[value].word}
          </option>
        ))}
      </NativeSelect>
      <NativeSelect name="feedback" label="Feedback" defaultValue={filters.feedback}>
        <option value="">any or none</option>
        {Object.entries(feedbackKinds).map(([value, word]) => (
          <option key={value} value={value}>
            {word}
          </option>
        ))}
      </NativeSelect>
      <div className="filter-buttons">
        <Button type="submit">Filter</Button>
        {isAny && (
          <Button component="a" variant="default" href={addressOf(['answers'])}>
            Clear
          </Button>
        )}
      </div>
      <details className="more" open={further.some((name) => filters[name] !== undefined)}>
        <summary>More filters</summary>
        <div className="filters">
          <FurtherFilters filters={filters} />
        </div>
      </details>
    </form>
  )
}

const verdictOptions = ['flagged', 'passed', 'set_aside', 'error', 'not_evaluated'] as const

/** Those that judge now; another one may stand in the address. */
function EvaluatorSelect({ value }: { readonly value: string | undefined }) {
  const { data } = useAnswer<EvaluatorList>('/api/evaluators')
  const known = new Set(data?.data.map(({ evaluator }) => evaluator))
  if (value !== undefined) known.add(value)
  return (
    <NativeSelect name="evaluator" label="Evaluator" defaultValue={value}>
      <option value="">any</option>
      {[...known].map((name) => (
        <option key={name} value={name}>
          {visible(name)}
        </option>
      ))}
    </NativeSelect>
  )
}

function FurtherFilters({ filters }: { readonly filters: Filters }) {
  return (
    <>
      <TextInput name="category" label="Category" defaultValue={filters.category} placeholder="of the verdict" />
      <TextInput name="model" label="Model" defaultValue={filters.model} />
      <NativeSelect name="termination" label="Ended" defaultValue={filters.termination}>
        <option value="">any way</option>
        {Object.keys(terminations).map((value) => (
          <option key={value} value={value}>
            {value.replaceAll('_', ' ')}
          </option>
        ))}
      </NativeSelect>
      <TextInput name="subject" label="Person" defaultValue={filters.subject} placeholder="named by the caller" />
      <TextInput name="key" label="Key id" defaultValue={filters.key} />
      <TextInput name="since" label="Since" type="datetime-local" defaultValue={toLocal(filters.since)} />
      <TextInput name="until" label="Until" type="datetime-local" defaultValue={toLocal(filters.until)} />
    </>
  )
}

function toIso(local: string): string {
  const time = new Date(local)
  return local === '' || Number.isNaN(time.getTime()) ? '' : time.toISOString()
}

/** As the field wants it: the reader's own time, to the minute. */
function toLocal(iso: string | undefined): string | undefined {
  if (iso === undefined || Number.isNaN(Date.parse(iso))) return undefined
  const time = new Date(iso)
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}
