import { Button, Table, Title } from '@mantine/core'
import type { AlarmDetail } from '@plumbline/contracts'
import { useState } from 'react'
import { addressOf } from '../address.ts'
import { type ApiError, call, failureOf } from '../api.ts'
import { formatCount, formatShare, formatTime } from '../format.ts'
import { AlarmBadge } from '../parts/alarm-list.tsx'
import { Chart } from '../parts/chart.tsx'
import { visible } from '../parts/content.tsx'
import { Fact } from '../parts/fact.tsx'
import { MovedTerms } from '../parts/moved-terms.tsx'
import { Loaded, Nothing, PageFrame, Trouble } from '../parts/page-frame.tsx'
import { chartPoints } from '../parts/reading.tsx'
import { useAnswer } from '../use-answer.ts'

const pollMs = 15_000

/** One alarm with what it rests on. */
export function AlarmRecord({ id }: { readonly id: string }) {
  const answer = useAnswer<AlarmDetail>(`/api/alarms/${encodeURIComponent(id)}`, pollMs)
  return (
    <PageFrame title="Alarm">
      <p>
        <a href={addressOf(['alarms'])}>All alarms</a>
      </p>
      <Loaded answer={answer}>{(alarm) => <AlarmBody alarm={alarm} onChanged={answer.refresh} />}</Loaded>
    </PageFrame>
  )
}

interface AlarmBodyProps {
  readonly alarm: AlarmDetail
  readonly onChanged: () => void
}

function AlarmBody({ alarm, onChanged }: AlarmBodyProps) {
  return (
    <>
      <p className="alarm-summary">
        <AlarmBadge state={alarm.state} /> {visible(alarm.summary)}
      </p>
      <p className="dim">
        Opened {formatTime(alarm.opened_at)}, last seen {formatTime(alarm.last_at)}, {formatCount(alarm.detections)}{' '}
        {alarm.detections === 1 ? 'detection' : 'detections'}
        {alarm.closed_at !== null && `; closed ${formatTime(alarm.closed_at)} by ${alarm.closed_by ?? 'nobody'}`}.
      </p>
      {alarm.state === 'open' && <CloseButton id={alarm.id} onChanged={onChanged} />}
      <Evidence alarm={alarm} />
      <Behind alarm={alarm} />
      <Notifications notifications={alarm.notifications} />
    </>
  )
}

function CloseButton({ id, onChanged }: { readonly id: string; readonly onChanged: () => void }) {
  const [error, setError] = useState<ApiError>()
  const close = async () => {
    try {
      await call(`/api/alarms/${id}/close`, { method: 'POST' })
      onChanged()
    } catch (failure) {
      setError(failureOf(failure))
    }
  }
  return (
    <>
      {error !== undefined && <Trouble error={error} />}
      <div className="filter-buttons">
        <Button variant="default" onClick={close}>
          Close it
        </Button>
        <span className="dim">once somebody has seen to it: if it goes on, a new one opens</span>
      </div>
    </>
  )
}

function Evidence({ alarm }: { readonly alarm: AlarmDetail }) {
  const { baseline, since_start, log_evidence, log_needed, drift, series: days } = alarm.evidence
  // Days before there was anything would take half of the chart.
  const series = days.slice(
    Math.max(
      0,
      days.findIndex(({ state }) => state !== 'no_data'),
    ),
  )
  return (
    <section aria-labelledby="evidence">
      <Title order={2} size="h4" id="evidence">
        What it rests on
      </Title>
      <dl className="facts in-a-row">
        {baseline !== null && (
          <Fact name="Before">
            {formatShare(baseline.estimate)}, at most {formatShare(baseline.upper)} ({formatCount(baseline.flagged)} of{' '}
            {formatCount(baseline.judged)})
          </Fact>
        )}
        {since_start !== null && (
          <Fact name="Since the detector began">
            {formatCount(since_start.flagged)} of {formatCount(since_start.judged)}; fits a rate of{' '}
            {formatShare(since_start.likeliest_rate)} best
          </Fact>
        )}
        {log_evidence !== null && log_needed !== null && (
          <Fact name="Evidence (logarithm)">
            {log_evidence.toFixed(1)}; an alarm from {log_needed.toFixed(1)}
          </Fact>
        )}
      </dl>
      {series.length > 0 && (
        <Chart
          title={`${alarm.evaluator}: share of answers that it flags a day`}
          kind="line"
          // What the detector watches is not corrected.
          points={chartPoints(series, 'raw')}
          marks={[{ day: alarm.opened_at.slice(0, 10), text: 'alarm', kind: 'alarm' }]}
          format={formatShare}
        />
      )}
      {drift !== null && <MovedTerms moved={drift.moved} />}
    </section>
  )
}

function Behind({ alarm: { interactions, evaluator } }: { readonly alarm: AlarmDetail }) {
  return (
    <section aria-labelledby="behind">
      <Title order={2} size="h4" id="behind">
        Answers behind it
      </Title>
      {evaluator !== null && (
        <p>
          <a href={addressOf(['answers'], { evaluator, verdict: 'flagged' })}>Read them</a> with what was asked, among
          all that {visible(evaluator)} flags.
        </p>
      )}
      {interactions.length === 0 ? (
        <Nothing>No single answers: the alarm is about all of them together.</Nothing>
      ) : (
        <Table className="list">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>When</Table.Th>
              <Table.Th>Label</Table.Th>
              <Table.Th>Category</Table.Th>
              <Table.Th className="number">Score</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {interactions.map(({ record, at, label, category, score }) => (
              <Table.Tr key={record}>
                <Table.Td data-label="When">
                  <a href={addressOf(['answers', record])}>{formatTime(at)}</a>
                </Table.Td>
                <Table.Td data-label="Label">{visible(label ?? 'none')}</Table.Td>
                <Table.Td data-label="Category">{visible(category ?? 'none')}</Table.Td>
                <Table.Td data-label="Score" className="number">
                  {score === null ? 'none' : score.toFixed(2)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </section>
  )
}

function Notifications({ notifications }: Pick<AlarmDetail, 'notifications'>) {
  if (notifications.length === 0) return null
  return (
    <section aria-labelledby="told">
      <Title order={2} size="h4" id="told">
        Who was told
      </Title>
      <ul className="plain">
        {notifications.map(({ channel, state, attempts, error }) => (
          <li key={channel}>
            <strong>{channel}</strong> {state}, {attempts} {attempts === 1 ? 'attempt' : 'attempts'}{' '}
            {error !== null && visible(error)}
          </li>
        ))}
      </ul>
    </section>
  )
}
