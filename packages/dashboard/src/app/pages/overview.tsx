import { SegmentedControl, Title } from '@mantine/core'
import type { MonitoringOverview } from '@plumbline/contracts'
import { addressOf, go } from '../address.ts'
import { withQuery } from '../api.ts'
import { formatCount, formatDay } from '../format.ts'
import { Cohorts } from '../overview/cohorts.tsx'
import { Counterfactuals } from '../overview/counterfactuals.tsx'
import { DriftCard } from '../overview/drift-card.tsx'
import { EvaluatorCard } from '../overview/evaluator-card.tsx'
import { marksOf } from '../overview/marks.ts'
import type { PageProps } from '../pages.ts'
import { AlarmList } from '../parts/alarm-list.tsx'
import { Chart } from '../parts/chart.tsx'
import { Loaded, Nothing, PageFrame } from '../parts/page-frame.tsx'
import { useAnswer } from '../use-answer.ts'

const pollMs = 15_000
const dayMs = 86_400_000
const ranges = ['7', '30', '90']

/** How the model behaves: rates with their bands, what changed, what rang. */
export function Overview({ query }: PageProps) {
  const asked = query.get('days') ?? '30'
  const days = ranges.includes(asked) ? asked : '30'
  const from = new Date(Date.now() - (Number(days) - 1) * dayMs).toISOString().slice(0, 10)
  const answer = useAnswer<MonitoringOverview>(withQuery('/api/monitoring/overview', { from }), pollMs)
  return (
    <PageFrame
      title="Overview"
      tools={
        <SegmentedControl
          aria-label="Days to show"
          value={days}
          onChange={(value) => go(addressOf(['overview'], { days: value }))}
          data={ranges.map((value) => ({ value, label: `${value} days` }))}
        />
      }
    >
      <Loaded answer={answer}>{(overview) => <OverviewBody overview={overview} />}</Loaded>
    </PageFrame>
  )
}

function OverviewBody({ overview }: { readonly overview: MonitoringOverview }) {
  const { evaluators, drift, cohorts, open_alarms } = overview
  return (
    <>
      <section aria-labelledby="open-alarms">
        <Title order={2} size="h4" id="open-alarms">
          Open alarms
        </Title>
        {open_alarms.length === 0 ? <Nothing>No alarm is open.</Nothing> : <AlarmList alarms={open_alarms} />}
      </section>
      <section aria-labelledby="rates">
        <Title order={2} size="h4" id="rates">
          Rates
        </Title>
        {evaluators.length === 0 && (
          <Nothing>No evaluator judges live answers here: nothing is known about them, good or bad.</Nothing>
        )}
        <div className="cards">
          {evaluators.map((one) => (
            <EvaluatorCard key={`${one.evaluator} ${one.version}`} one={one} overview={overview} />
          ))}
        </div>
      </section>
      <section aria-labelledby="change">
        <Title order={2} size="h4" id="change">
          What people ask and get
        </Title>
        <div className="cards">
          <DriftCard drift={drift} />
          <Volumes overview={overview} />
        </div>
      </section>
      <Cohorts cohorts={cohorts} />
      <Counterfactuals counterfactual={overview.counterfactual} />
      <Releases releases={overview.releases} />
    </>
  )
}

function Volumes({ overview }: { readonly overview: MonitoringOverview }) {
  const { days, pending } = overview
  const sum = (read: (day: (typeof days)[number]) => number) => days.reduce((total, day) => total + read(day), 0)
  const [answers, failed, sampled, evaluated, errors] = [
    sum((day) => day.answers),
    sum((day) => day.failed),
    sum((day) => day.sampled),
    sum((day) => day.evaluated),
    sum((day) => day.errors),
  ]
  return (
    <article className="card">
      <Chart
        title="Answers a day"
        kind="bars"
        points={days.map(({ day, answers }) => ({ day, value: answers }))}
        marks={marksOf(overview)}
        format={formatCount}
      />
      <p>
        {formatCount(answers)} answers, {formatCount(failed)} requests without one. {formatCount(sampled)} were sampled
        and {formatCount(evaluated)} of these judged; {formatCount(errors)} judgements failed.
        {pending > 0 && ` ${formatCount(pending)} records wait to be looked at.`}
      </p>
    </article>
  )
}

function Releases({ releases }: Pick<MonitoringOverview, 'releases'>) {
  return (
    <section aria-labelledby="releases">
      <Title order={2} size="h4" id="releases">
        Releases
      </Title>
      {releases.length === 0 ? (
        <Nothing>No model and no configuration answered for the first time in these days.</Nothing>
      ) : (
        <ul className="plain">
          {releases.map(({ at, kind, name }) => (
            <li key={`${at} ${name}`}>
              <strong>{formatDay(at)}</strong> {kind === 'model' ? 'model' : 'configuration'} {name}{' '}
              {kind === 'model' && <a href={addressOf(['answers'], { model: name })}>its answers</a>}
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
