import type { EvaluatorList } from '@plumbline/contracts'
import { formatCount, formatDay } from '../format.ts'

/** How far reviewers are with the answers from which live calibrations come. */
export function Sample({ sample }: Pick<EvaluatorList, 'sample'>) {
  const { drawn, settled, discarded, seen, waiting, waiting_since: since } = sample
  if (drawn === 0)
    return (
      <p className="dim">Live labels: no answer was drawn for reviewers yet (review.sample of the monitoring file).</p>
    )
  const left = [
    discarded > 0 && `${formatCount(discarded)} not worth judging`,
    seen > 0 && `${formatCount(seen)} judged by somebody who had seen why they were there`,
  ].filter((one) => one !== false)
  const judged = drawn - waiting
  return (
    <p className="dim">
      Live labels: of {formatCount(drawn)} answers drawn by chance {formatCount(judged)} are judged,{' '}
      {formatCount(settled)} count{settled < judged && ' yet'}
      {left.length > 0 && ` (left out: ${left.join(', ')})`}.
      {since !== null &&
        ` ${formatCount(waiting)} wait; those drawn since ${formatDay(since.slice(0, 10))} count when the oldest of them is settled.`}
    </p>
  )
}
