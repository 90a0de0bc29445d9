import type { MonitoringOverview, ReadingState } from '@plumbline/contracts'
import { formatBand, formatShare } from '../format.ts'
import type { ChartPoint } from './chart.tsx'
import { visible } from './content.tsx'
import { StateBadge, type Tone } from './state-badge.tsx'

type Evaluated = MonitoringOverview['evaluators'][number]
type Measured = Pick<Evaluated, 'state' | 'reason' | 'raw' | 'corrected'> & Partial<Pick<Evaluated, 'corrected_by'>>

const words: Record<ReadingState, readonly [string, Tone]> = {
  measured: ['measured', 'good'],
  no_data: ['no data', 'quiet'],
  not_evaluated: ['not evaluated', 'watch'],
  error: ['error', 'bad'],
}

export function ReadingBadge({ state }: { readonly state: ReadingState }) {
  const [word, tone] = words[state]
  return <StateBadge tone={tone}>{word}</StateBadge>
}

/** Whether an interval of a difference leaves out zero. */
export function GapBadge({ isGap }: { readonly isGap: boolean }) {
  return <StateBadge tone={isGap ? 'bad' : 'good'}>{isGap ? 'gap' : 'no gap shown'}</StateBadge>
}

/** How far its number can be trusted. */
export function Badges({
  one,
  hasAlarm = false,
}: {
  readonly one: Pick<Evaluated, 'state' | 'is_calibrated' | 'is_current'>
  readonly hasAlarm?: boolean
}) {
  return (
    <span className="badges">
      {hasAlarm && <StateBadge tone="bad">alarm</StateBadge>}
      {!(hasAlarm && one.state === 'measured') && <ReadingBadge state={one.state} />}
      {!one.is_calibrated && <StateBadge tone="watch">uncalibrated</StateBadge>}
      {!one.is_current && <StateBadge tone="quiet">not in use now</StateBadge>}
    </span>
  )
}

/** The rate with its band; where there is none, why. Never a zero in its place. */
export function Reading({ reading }: { readonly reading: Measured }) {
  const { state, reason, raw, corrected, corrected_by: by } = reading
  const shown = corrected ?? raw
  if (state !== 'measured' || shown === null) {
    return (
      <p className="reading">
        <span className="figure">{words[state][0]}</span> <span className="dim">{visible(reason ?? '')}</span>
      </p>
    )
  }
  return (
    <p className="reading">
      <span className="figure">{formatShare(shown.value)}</span>{' '}
      <span>
        {formatShare(shown.low)} to {formatShare(shown.high)}
      </span>{' '}
      <span className="dim">
        {corrected === null
          ? `as the evaluator says: ${visible(reason ?? '')}`
          : `corrected for its error${by === 'live_labels' ? ' on live labels' : ''}; it says ${raw === null ? 'nothing' : formatBand(raw)}`}
      </span>
    </p>
  )
}

/** One kind of rate for all days: a line that goes from one to the other would rise and fall where nothing did. */
export function chartPoints(days: Evaluated['days'], kind: 'raw' | 'corrected'): ChartPoint[] {
  return days.map(({ day, state, reason, ...rates }) => {
    const shown = state === 'measured' ? rates[kind] : null
    const word = state === 'measured' && shown === null ? 'no corrected rate' : words[state][0]
    const note = reason === null ? word : `${word}: ${reason}`
    return { day, value: shown?.value ?? null, low: shown?.low ?? null, high: shown?.high ?? null, note }
  })
}
