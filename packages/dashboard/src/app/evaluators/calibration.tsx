import type { EvaluatorList } from '@plumbline/contracts'
import type { ReactNode } from 'react'
import { formatCount, formatDay, formatShare, formatTime } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { Fact } from '../parts/fact.tsx'
import { StateBadge } from '../parts/state-badge.tsx'

type Evaluator = EvaluatorList['data'][number]
type Rate = NonNullable<Evaluator['calibration']>['sensitivity']

/** How good it is, by the texts that it came with and by what reviewers here decided; which of the two corrects its rate. */
export function Calibration({ one: { calibration, live, corrected_by: by } }: { readonly one: Evaluator }) {
  return (
    <div className="calibrations">
      <h3>Calibration</h3>
      <Measured title="on a data set" isUsed={by === 'dataset'}>
        {calibration === null ? (
          <Fact name="Error">unknown until it is measured on human labels</Fact>
        ) : (
          <>
            <Rates of={calibration} />
            {calibration.auc !== null && (
              <Fact name="AUC">
                {calibration.auc.value.toFixed(3)}{' '}
                <span className="dim">
                  ({calibration.auc.low.toFixed(3)} to {calibration.auc.high.toFixed(3)})
                </span>
              </Fact>
            )}
            <Fact name="Measured">
              {calibration.date} on {visible(calibration.dataset)}
            </Fact>
          </>
        )}
      </Measured>
      <Measured title="on live labels" isUsed={by === 'live_labels'}>
        {live.state === 'no_question' ? (
          <Fact name="Error">unknown: review.labels in the monitoring file does not say what it should flag</Fact>
        ) : (
          <>
            <Rates of={live} />
            <Fact name="Labels">
              {formatCount(live.flagged)} called {live.labels.join(' or ')}, {formatCount(live.n - live.flagged)} not
              <span className="dim">
                ; worth {formatCount(live.effective.flagged)} and {formatCount(live.effective.others)} evenly drawn ones
                {live.state === 'too_few' && `, used from ${live.needs} of each`}
              </span>
            </Fact>
            <Fact name="Measured">{whenOf(live)}</Fact>
            <Fact name="Intervals">
              <span className="dim">95 % at one look: of many looks, more than one in twenty leaves the truth out</span>
            </Fact>
          </>
        )}
      </Measured>
    </div>
  )
}

interface MeasuredProps {
  readonly title: string
  readonly isUsed: boolean
  readonly children: ReactNode
}

function Measured({ title, isUsed, children }: MeasuredProps) {
  return (
    <div className="calibration">
      <h4>
        {title} {isUsed && <StateBadge tone="good">in use</StateBadge>}
      </h4>
      <dl className="facts">{children}</dl>
    </div>
  )
}

function Rates({
  of: { sensitivity, specificity },
}: {
  readonly of: { readonly sensitivity: Rate | null; readonly specificity: Rate | null }
}) {
  return (
    <>
      <Fact name="Sensitivity">{shareOf(sensitivity)}</Fact>
      <Fact name="Specificity">{shareOf(specificity)}</Fact>
    </>
  )
}

function shareOf(rate: Rate | null) {
  if (rate === null) return 'no data'
  const { value, low, high, hits, n } = rate
  return (
    <>
      {formatShare(value)}{' '}
      <span className="dim">
        ({formatShare(low)} to {formatShare(high)}; {formatCount(hits)}&nbsp;of&nbsp;{formatCount(n)})
      </span>
    </>
  )
}

function whenOf({ from, to, settled_at: at }: Evaluator['live']): string {
  if (from === null || to === null || at === null) return 'not yet'
  const days = from === to ? formatDay(from) : `${formatDay(from)} to ${formatDay(to)}`
  return `on answers of ${days}; last label ${formatTime(at)}`
}
