import type { Alarm } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { formatTime } from '../format.ts'
import { visible } from './content.tsx'
import { StateBadge } from './state-badge.tsx'

export function AlarmList({ alarms }: { readonly alarms: readonly Alarm[] }) {
  return (
    <ul className="alarms">
      {alarms.map((alarm) => (
        <li key={alarm.id}>
          <AlarmBadge state={alarm.state} />
          <a href={addressOf(['alarms', alarm.id])}>{visible(alarm.summary)}</a>
          <span className="dim">
            {alarm.kind === 'drift' ? 'texts' : alarm.evaluator}, since {formatTime(alarm.opened_at)}
            {alarm.detections > 1 && `, seen ${alarm.detections} times`}
          </span>
        </li>
      ))}
    </ul>
  )
}

export function AlarmBadge({ state }: Pick<Alarm, 'state'>) {
  return <StateBadge tone={state === 'open' ? 'bad' : 'quiet'}>{state}</StateBadge>
}
