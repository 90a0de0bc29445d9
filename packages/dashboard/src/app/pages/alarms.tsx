import { SegmentedControl } from '@mantine/core'
import type { Alarm } from '@plumbline/contracts'
import { addressOf, go } from '../address.ts'
import { withQuery } from '../api.ts'
import type { PageProps } from '../pages.ts'
import { AlarmList } from '../parts/alarm-list.tsx'
import { Loaded, Nothing, PageFrame } from '../parts/page-frame.tsx'
import { Pager } from '../parts/pager.tsx'
import { useAnswer } from '../use-answer.ts'
import { AlarmRecord } from './alarm.tsx'

const pollMs = 15_000
const states = ['all', 'open', 'closed']

/** Said where there is none. */
const none: Readonly<Record<string, string>> = {
  all: 'No alarm so far. One opens when an evaluator flags more answers than in the first days, or when their words change.',
  open: 'No alarm is open.',
  closed: 'Nobody has closed an alarm yet.',
}

/** `#/alarms` is the list, `#/alarms/ID` one of them. */
export function Alarms({ rest, query }: PageProps) {
  return rest.length === 0 ? <AlarmPageList query={query} /> : <AlarmRecord id={rest[0]} />
}

function AlarmPageList({ query }: { readonly query: URLSearchParams }) {
  const state = states.find((one) => one === query.get('state')) ?? 'all'
  const after = query.get('after') ?? undefined
  const path = withQuery('/api/alarms', { state: state === 'all' ? undefined : state, after, limit: '50' })
  const answer = useAnswer<{ data: Alarm[]; next: string | null }>(path, after === undefined ? pollMs : undefined)
  return (
    <PageFrame
      title="Alarms"
      tools={
        <SegmentedControl
          aria-label="Which alarms"
          value={state}
          onChange={(value) => go(addressOf(['alarms'], { state: value }))}
          data={states}
        />
      }
    >
      <Loaded answer={answer}>
        {({ data, next }) => (
          <>
            {data.length === 0 ? <Nothing>{none[state]}</Nothing> : <AlarmList alarms={data} />}
            <Pager of="alarms" links={{ Older: next && addressOf(['alarms'], { state, after: next }) }} />
          </>
        )}
      </Loaded>
    </PageFrame>
  )
}
