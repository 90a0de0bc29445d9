import { Button } from '@mantine/core'
import type { ReviewItem, ReviewStats } from '@plumbline/contracts'
import { useCallback, useEffect, useState } from 'react'
import { type ApiError, call, failureOf } from '../api.ts'
import { formatCount } from '../format.ts'
import { Nothing, PageFrame, Trouble, Waiting } from '../parts/page-frame.tsx'
import { Guideline } from '../review/guideline.tsx'
import { Hotkeys } from '../review/hotkeys.tsx'
import { ReviewFigures } from '../review/review-figures.tsx'
import { ReviewForm } from '../review/review-form.tsx'
import { useAnswer } from '../use-answer.ts'

const pollMs = 15_000

/** One item after the other; everything is done by keys, too. */
export function Review() {
  const stats = useAnswer<ReviewStats>('/api/review/stats', pollMs)
  const { item, error, isAsking, ask } = useNextItem(stats.data)
  const [said, setSaid] = useState('')
  const next = useCallback(
    (what: string) => {
      setSaid(what)
      ask()
      stats.refresh()
    },
    [ask, stats.refresh],
  )
  return (
    <PageFrame title="Review" tools={<Backlog stats={stats.data} />}>
      <p role="status" className="said">
        {said}
      </p>
      <Guideline />
      {error !== undefined && <Trouble error={error} onAgain={ask} />}
      {item === undefined && error === undefined && <Waiting />}
      {item != null && <ReviewForm key={item.lease} item={item} onDone={next} />}
      {item === null && (
        <Nothing>
          Nothing waits for you. Answers come here when somebody flags one, when two disagree about one, when you put
          one before reviewers, or by chance.{' '}
          <Button variant="default" size="xs" onClick={ask} loading={isAsking}>
            Look again
          </Button>
        </Nothing>
      )}
      <Hotkeys />
      {stats.data !== undefined && <ReviewFigures stats={stats.data} />}
    </PageFrame>
  )
}

/** Undefined until the server has said; null where nothing waits, and then asked again as soon as something may. */
function useNextItem(stats: ReviewStats | undefined) {
  const [item, setItem] = useState<ReviewItem | null>()
  const [error, setError] = useState<ApiError>()
  const [isAsking, setIsAsking] = useState(false)
  const ask = useCallback(async () => {
    setIsAsking(true)
    try {
      const next = await call<{ item: ReviewItem | null }>('/api/review/next')
      setItem(next.item)
      setError(undefined)
    } catch (failure) {
      setError(failureOf(failure))
      setItem(undefined)
    }
    setIsAsking(false)
  }, [])
  useEffect(() => void ask(), [ask])
  const waiting = (stats?.items.open ?? 0) + (stats?.items.disputed ?? 0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the change of what waits that counts
  useEffect(() => {
    if (item === null && waiting > 0) void ask()
  }, [waiting])
  return { item, error, isAsking, ask }
}

function Backlog({ stats }: { readonly stats: ReviewStats | undefined }) {
  if (stats === undefined) return null
  const { open, disputed, done } = stats.items
  return (
    <span className="freshness">
      {formatCount(open)} open, {formatCount(disputed)} disputed, {formatCount(done)} done
    </span>
  )
}
