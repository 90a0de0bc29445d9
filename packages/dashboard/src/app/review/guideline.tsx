import type { ReviewGuideline } from '@plumbline/contracts'
import { Content } from '../parts/content.tsx'
import { Loaded } from '../parts/page-frame.tsx'
import { useAnswer } from '../use-answer.ts'
import { labelName, labels } from './labels.ts'

/** What the labels mean, and what the project says of judging. */
export function Guideline() {
  const answer = useAnswer<ReviewGuideline>('/api/review/guideline')
  return (
    <details className="guideline">
      <summary>How to judge</summary>
      <ul className="plain">
        {labels.map(({ label, means }) => (
          <li key={label}>
            <strong>{labelName(label)}</strong>: {means}
          </li>
        ))}
      </ul>
      <Loaded answer={answer}>
        {({ guideline, high_stakes }) => (
          <>
            {guideline === null ? (
              <p className="dim">
                There is no guideline of the project’s own yet: review.guideline of the monitoring file would stand
                here.
              </p>
            ) : (
              <Content text={guideline} />
            )}
            <p>Nothing follows from one person’s word alone where the category is {high_stakes.join(', ')}.</p>
            <p>What you write as a better answer may be trained on, where consent was given.</p>
          </>
        )}
      </Loaded>
    </details>
  )
}
