import type { EvaluatorList } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { Calibration } from '../evaluators/calibration.tsx'
import { Sample } from '../evaluators/sample.tsx'
import { formatCount, formatDay, formatShare, formatTime } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { Fact } from '../parts/fact.tsx'
import { Loaded, Nothing, PageFrame } from '../parts/page-frame.tsx'
import { Badges } from '../parts/reading.tsx'
import { useAnswer } from '../use-answer.ts'

const pollMs = 30_000
type Evaluator = EvaluatorList['data'][number]

/** What judges live answers, and how good each is at it. */
export function Evaluators() {
  const answer = useAnswer<EvaluatorList>('/api/evaluators', pollMs)
  return (
    <PageFrame title="Evaluators">
      <Loaded answer={answer}>
        {({ data, sample }) =>
          data.length === 0 ? (
            <Nothing>No evaluator judges live answers here.</Nothing>
          ) : (
            <>
              <Sample sample={sample} />
              <div className="cards">
                {data.map((one) => (
                  <EvaluatorFacts key={`${one.evaluator} ${one.version}`} one={one} />
                ))}
              </div>
            </>
          )
        }
      </Loaded>
    </PageFrame>
  )
}

function EvaluatorFacts({ one }: { readonly one: Evaluator }) {
  const { last_error: failed } = one
  return (
    <article className="card">
      <div className="card-head">
        <h2>{one.evaluator}</h2>
        <Badges one={one} />
      </div>
      <p className="dim">{one.summary}</p>
      {one.reason !== null && (
        <p>
          {one.state === 'measured' && 'No corrected rate: '}
          {visible(one.reason)}
        </p>
      )}
      <dl className="facts in-a-row">
        <Fact name="Version">{one.version}</Fact>
        <Fact name="Flags">{one.flags.join(', ') || 'nothing'}</Fact>
        <Fact name="Last 30 days">
          {formatCount(one.judged)} judged, {formatCount(one.flagged)} flagged, {formatCount(one.set_aside)} set aside,{' '}
          {formatCount(one.errors)} errors
        </Fact>
        <Fact name="Last judgement">
          {one.last_evaluated_day === null ? 'none yet' : formatDay(one.last_evaluated_day)}
        </Fact>
        <Fact name="Its answers">
          <a href={addressOf(['answers'], { evaluator: one.evaluator, verdict: 'flagged' })}>flagged</a>,{' '}
          <a href={addressOf(['answers'], { evaluator: one.evaluator, verdict: 'error' })}>failed</a>
        </Fact>
        {failed !== null && (
          <Fact name="Last error">
            {visible(failed.code)} at {formatTime(failed.at)},{' '}
            <a href={addressOf(['answers', failed.record])}>the answer</a>
          </Fact>
        )}
        <Detector detector={one.detector} />
      </dl>
      <Calibration one={one} />
    </article>
  )
}

const detectorStates = { learning: 'learning what is usual', watching: 'watching', unusable: 'cannot watch' }

function Detector({ detector }: Pick<Evaluator, 'detector'>) {
  if (detector === null) return <Fact name="Alarm">waits for the first judged answer</Fact>
  const { state, reason, baseline, learned, false_alarms_per_year: nominal } = detector
  const progress =
    learned === null
      ? ''
      : `: ${formatCount(learned.judged)} of ${formatCount(learned.needs_judged)} answers, ${learned.days.toFixed(1)} of ${learned.needs_days} days`
  return (
    <>
      <Fact name="Alarm">
        {detectorStates[state]}
        {progress} {visible(reason ?? '')}
      </Fact>
      {baseline !== null && (
        <Fact name="Usual rate">
          {formatShare(baseline.estimate)}, at most {formatShare(baseline.upper)}
        </Fact>
      )}
      {nominal !== null && <Fact name="False alarms a year">about {nominal}, at the traffic of the first days</Fact>}
    </>
  )
}
