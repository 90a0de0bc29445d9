import type { MonitoringOverview } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { formatCount, formatShare } from '../format.ts'
import { Chart } from '../parts/chart.tsx'
import { Badges, chartPoints, Reading } from '../parts/reading.tsx'
import { marksOf } from './marks.ts'

interface EvaluatorCardProps {
  readonly one: MonitoringOverview['evaluators'][number]
  readonly overview: MonitoringOverview
}

/** One evaluator’s rate over the range and day by day. */
export function EvaluatorCard({ one, overview }: EvaluatorCardProps) {
  const isOurs = ({ evaluator, version }: { evaluator: string | null; version: string | null }) =>
    evaluator === one.evaluator && version === one.version
  const hasAlarm = overview.open_alarms.some(isOurs)
  // As the figure above it.
  const kind = one.corrected === null ? 'raw' : 'corrected'
  return (
    <article className="card" data-alarm={hasAlarm || undefined}>
      <div className="card-head">
        <h3>{one.evaluator}</h3>
        <Badges one={one} hasAlarm={hasAlarm} />
      </div>
      <Reading reading={one} />
      <p className="dim">{one.summary}</p>
      <Chart
        title={`${one.evaluator}: share of answers a day, ${kind === 'raw' ? 'as it says' : 'corrected'}`}
        kind="line"
        points={chartPoints(one.days, kind)}
        marks={marksOf(overview, isOurs)}
        format={formatShare}
      />
      <p className="dim">
        {formatCount(one.judged)} judged, {formatCount(one.flagged)} flagged, {formatCount(one.set_aside)} set aside,{' '}
        {formatCount(one.errors)} errors · version {one.version}
        {one.flagged > 0 && (
          <>
            {' · '}
            <a href={addressOf(['answers'], { evaluator: one.evaluator, verdict: 'flagged' })}>flagged answers</a>
          </>
        )}
      </p>
    </article>
  )
}
