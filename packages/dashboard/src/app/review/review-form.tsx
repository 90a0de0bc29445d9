import { Alert, Button, Kbd, Textarea, TextInput } from '@mantine/core'
import type { ReviewItem } from '@plumbline/contracts'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { type ApiError, call, failureOf } from '../api.ts'
import { FeedbackCard } from '../pages/answer.tsx'
import { Conversation } from '../parts/conversation.tsx'
import { Trouble } from '../parts/page-frame.tsx'
import { categories, categoryPattern, labelName, labelPattern, labels } from './labels.ts'
import { Disagreement, LeaseClock, Opinions, Reasons } from './review-item.tsx'
import { sendable, useDraft } from './use-draft.ts'
import { useHotkeys } from './use-hotkeys.ts'

interface ReviewFormProps {
  readonly item: ReviewItem
  /** With what is to be said of it. */
  readonly onDone: (said: string) => void
}

/** One answer, and what this reviewer thinks of it. */
export function ReviewForm({ item, onDone }: ReviewFormProps) {
  const { draft, change, leasedUntil, error, stop } = useDraft(item)
  const [failure, setFailure] = useState<ApiError>()
  const isBusy = useRef(false)
  // What is pressed from then on is for the next item, unless this one comes back with a failure.
  const [isSent, setIsSent] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus(), [])
  // A locked form loses the focus: what is typed after a failure would be taken for keys that act, "s" among them.
  const held = useRef<Element>(null)
  useEffect(() => {
    if (!isSent && held.current instanceof HTMLElement) held.current.focus()
  }, [isSent])

  const send = async (step: 'submit' | 'skip', body: object, said: (answer: { state?: string }) => string) => {
    if (isBusy.current) return
    isBusy.current = true
    held.current = document.activeElement
    setIsSent(true)
    setFailure(undefined)
    stop()
    try {
      const answer = await call<{ state?: string }>(`/api/review/${item.item}/${step}`, {
        method: 'POST',
        body: { ...body, lease: item.lease },
      })
      onDone(said(answer))
    } catch (thrown) {
      setFailure(failureOf(thrown))
      setIsSent(false)
      isBusy.current = false
    }
  }
  const [isUnlabelled, setIsUnlabelled] = useState(false)
  const hasLabel = (draft.label ?? '') !== ''
  // The browser would put the cursor into the label's field: the next key would be one of a label's name.
  const submit = () => (hasLabel ? judge() : setIsUnlabelled(true))
  const judge = () => send('submit', sendable(draft), ({ state = '' }) => `Judged ${draft.label}: ${outcomes[state]}`)
  const skip = () => send('skip', {}, () => 'Skipped: you are not asked about this one again.')
  const focus = (name: string) => form.current?.querySelector<HTMLElement>(`[name=${name}]`)?.focus()
  const ask = () => form.current?.requestSubmit()

  const hotkeys = {
    ...Object.fromEntries(labels.map(({ key, label }) => [key, () => change({ label })])),
    l: () => focus('label'),
    c: () => focus('category'),
    e: () => focus('comment'),
    x: () => focus('correction'),
    s: () => void skip(),
    Enter: ask,
    'Ctrl+Enter': ask,
  }
  useHotkeys(isSent ? {} : hotkeys)

  const problem = failure ?? error
  const lost = problem === undefined ? undefined : losses[problem.code]
  return (
    <div className="two-columns">
      <div>
        <h2 ref={heading} tabIndex={-1} className="item-title">
          {item.is_adjudication ? 'Decide: reviewers disagree about this answer' : 'What do you think of this answer?'}
        </h2>
        <Reasons item={item} />
        <Disagreement disagreement={item.disagreement} />
        <Conversation record={item.interaction} />
        {item.feedback.map((one) => (
          <FeedbackCard key={one.id} one={one} />
        ))}
      </div>
      <form
        ref={form}
        className="judgement"
        inert={isSent}
        aria-label="Your judgement"
        onSubmit={(event: FormEvent) => {
          event.preventDefault()
          void submit()
        }}
      >
        <LeaseClock until={leasedUntil} />
        <Opinions opinions={item.opinions} />
        <fieldset className="labels">
          <legend>Label</legend>
          {labels.map(({ key, label, means }) => (
            <label key={label} title={means}>
              <input type="radio" name="preset" checked={draft.label === label} onChange={() => change({ label })} />
              <Kbd>{key}</Kbd> {labelName(label)}
            </label>
          ))}
        </fieldset>
        <TextInput
          name="label"
          label="Label, or one of your own"
          value={draft.label ?? ''}
          onChange={(event) => change({ label: event.currentTarget.value })}
          pattern={labelPattern}
          title="1 to 64 of a-z, 0-9, _ and -"
          aria-required
        />
        <TextInput
          name="category"
          label="Category"
          list="categories"
          value={draft.category ?? ''}
          onChange={(event) => change({ category: event.currentTarget.value })}
          pattern={categoryPattern}
          title="1 to 64 of a-z, 0-9, /, _ and -"
        />
        <datalist id="categories">
          {categories.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        <Textarea
          name="comment"
          label="Comment"
          rows={2}
          value={draft.comment ?? ''}
          onChange={(event) => change({ comment: event.currentTarget.value })}
          maxLength={64_000}
        />
        <Textarea
          name="correction"
          label="A better answer"
          rows={4}
          value={draft.correction ?? ''}
          onChange={(event) => change({ correction: event.currentTarget.value })}
          maxLength={64_000}
        />
        <div className="judgement-end">
          {problem !== undefined && lost === undefined && <Trouble error={problem} />}
          {isUnlabelled && !hasLabel && (
            <Alert color="yellow" role="alert" mb="sm">
              Choose a label first: press its key, or <Kbd>l</Kbd> to write one of your own.
            </Alert>
          )}
          {lost !== undefined && (
            <Alert color="yellow" role="alert" title={lost.title} mb="sm">
              <p>{problem?.message}</p>
              <Button size="xs" onClick={() => onDone(lost.said)}>
                Go on to the next one
              </Button>
            </Alert>
          )}
          <div className="filter-buttons">
            <Button type="submit" loading={isSent}>
              Submit
            </Button>
            <Button variant="default" onClick={skip}>
              Skip
            </Button>
          </div>
        </div>
      </form>
    </div>
  )
}

/** After these nothing can be sent from here any more. */
const losses: Readonly<Record<string, { readonly title: string; readonly said: string }>> = {
  lease_lost: { title: 'Somebody else has this item now', said: 'Your draft is kept.' },
  no_such_lease: { title: 'This item is not open here any more', said: '' },
}

const outcomes: Readonly<Record<string, string>> = {
  open: 'it waits for more judgements.',
  disputed: 'others see it differently, one more person decides.',
  done: 'it is settled.',
}
