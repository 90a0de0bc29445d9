import { Alert } from '@mantine/core'
import type { ReviewItem, ReviewReason } from '@plumbline/contracts'
import { useEffect, useState } from 'react'
import { visible } from '../parts/content.tsx'
import { StateBadge } from '../parts/state-badge.tsx'

const reasons: Record<ReviewReason, string> = {
  flag: 'flagged',
  guard: 'a guard hit',
  evaluator: 'an evaluator hit',
  disagreement: 'they disagree about it',
  uncertainty: 'uncertain',
  random: 'by chance',
  high_stakes: 'high stakes: two people',
}

/** Why it is here. */
export function Reasons({ item: { reasons: why, category } }: { readonly item: ReviewItem }) {
  return (
    <p className="reasons">
      {why.map((reason) => (
        <StateBadge key={reason} tone={reason === 'high_stakes' ? 'bad' : 'quiet'}>
          {reasons[reason]}
        </StateBadge>
      ))}
      {category !== null && <StateBadge tone="watch">{visible(category)}</StateBadge>}
    </p>
  )
}

/** Who says the opposite of whom. */
export function Disagreement({ disagreement }: Pick<ReviewItem, 'disagreement'>) {
  if (disagreement === null) return null
  const { ratings, flagged, passed } = disagreement
  return (
    <Alert color="yellow" title="What disagrees" mb="sm">
      <ul className="plain">
        {ratings.map(({ category, above, below }) => (
          <li key={category}>
            {category === null ? 'Ratings' : `Ratings of ${visible(category)}`}: {above} good, {below} bad
          </li>
        ))}
        {flagged.length > 0 && <li>Found something: {voices(flagged)}</li>}
        {passed.length > 0 && <li>Found nothing: {voices(passed)}</li>}
        {ratings.length + flagged.length === 0 && <li>Nothing any more.</li>}
      </ul>
    </Alert>
  )
}

type Voices = NonNullable<ReviewItem['disagreement']>['flagged']

const voices = (list: Voices) =>
  list
    .map(({ source, name, label, score }) => {
      const said = [label, score === null ? null : `score ${score.toFixed(2)}`].filter((one) => one !== null)
      return visible(`${source} ${name}${said.length === 0 ? '' : ` (${said.join(', ')})`}`)
    })
    .join('; ')

/** What others said, shown to whoever decides between them and to nobody else. */
export function Opinions({ opinions }: Pick<ReviewItem, 'opinions'>) {
  if (opinions.length === 0) return null
  return (
    <Alert color="blue" title="What the others said" mb="sm">
      <ul className="plain">
        {opinions.map(({ label, category, comment }, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: opinions are anonymous and do not move
          <li key={index}>
            <strong>{visible([label, category].filter(Boolean).join(', '))}</strong> {visible(comment ?? '')}
          </li>
        ))}
      </ul>
    </Alert>
  )
}

/** How long the item is this reviewer’s alone. */
export function LeaseClock({ until }: { readonly until: string }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  const seconds = Math.max(0, Math.round((Date.parse(until) - now) / 1_000))
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  return (
    <p className="lease" data-ending={seconds < 60 || undefined}>
      {seconds > 0 ? `Yours for ${clock}` : 'Your time is over: it counts while nobody else has taken it'}
    </p>
  )
}
