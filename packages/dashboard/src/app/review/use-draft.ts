import type { ReviewDraft, ReviewItem } from '@plumbline/contracts'
import { useCallback, useEffect, useRef, useState } from 'react'
import { type ApiError, call, failureOf } from '../api.ts'

const saveAfterMs = 1_500

/** What is written about an item: kept on the server a moment after each change, which prolongs the lease too. */
export function useDraft(item: ReviewItem) {
  const [draft, setDraft] = useState<ReviewDraft>(item.draft ?? {})
  const [leasedUntil, setLeasedUntil] = useState(item.leased_until)
  const [error, setError] = useState<ApiError>()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const save = useCallback(
    async (written: ReviewDraft) => {
      try {
        const body = { lease: item.lease, draft: sendable(written) }
        const kept = await call<{ leased_until: string }>(`/api/review/${item.item}/draft`, { method: 'POST', body })
        setLeasedUntil(kept.leased_until)
        setError(undefined)
      } catch (thrown) {
        const failure = failureOf(thrown)
        // Half a label is refused while it is being typed; submitting will say so.
        if (failure.status !== 400) setError(failure)
      }
    },
    [item],
  )
  const change = useCallback(
    (more: ReviewDraft) => {
      setDraft((before) => {
        const after = { ...before, ...more }
        clearTimeout(timer.current)
        timer.current = setTimeout(() => void save(after), saveAfterMs)
        return after
      })
    },
    [save],
  )
  const stop = useCallback(() => clearTimeout(timer.current), [])
  useEffect(() => stop, [stop])
  return { draft, change, leasedUntil, error, stop }
}

/** Fields that were emptied are left out. */
export function sendable(draft: ReviewDraft): ReviewDraft {
  return Object.fromEntries(Object.entries(draft).filter(([, text]) => text !== undefined && text !== ''))
}
