import type { RunDetail } from '@plumbline/contracts'
import { addressOf } from '../address.ts'
import { formatCount, formatNumber, formatSeconds, formatTime } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { Fact } from '../parts/fact.tsx'
import { Loaded, PageFrame } from '../parts/page-frame.tsx'
import { RunBadge } from '../training/run-badge.tsx'
import { RunCurves } from '../training/run-curves.tsx'
import { RunEnd } from '../training/run-end.tsx'
import { RunEvaluation } from '../training/run-evaluation.tsx'
import { RunJob } from '../training/run-job.tsx'
import { RunSamples } from '../training/run-samples.tsx'
import { RunSetup } from '../training/run-setup.tsx'
import { useAnswer } from '../use-answer.ts'

const paceOf = (last: RunDetail | undefined) => (last?.status === 'running' ? 5_000 : 30_000)

/** One training run, live while it goes on. */
export function RunRecord({ id }: { readonly id: string }) {
  const answer = useAnswer<RunDetail>(`/api/runs/${encodeURIComponent(id)}`, paceOf)
  const isLive = answer.data?.status === 'running'
  return (
    <PageFrame
      title="Training run"
      tools={isLive && <span className="freshness">live: the curves grow by themselves</span>}
    >
      <p>
        <a href={addressOf(['runs'])}>All runs</a>
      </p>
      <Loaded answer={answer}>{(run) => <RunBody run={run} />}</Loaded>
    </PageFrame>
  )
}

function RunBody({ run }: { readonly run: RunDetail }) {
  return (
    <>
      {run.note !== null && <p className="dim">{visible(run.note)}</p>}
      <RunHead run={run} />
      <RunEnd {...run} />
      <RunCurves curves={run.curves} />
      {run.evaluation !== null && <RunEvaluation evaluation={run.evaluation} />}
      {run.job !== null && <RunJob job={run.job} id={run.id} />}
      {run.samples.length > 0 && <RunSamples samples={run.samples} />}
      <RunSetup config={run.config} inputs={run.inputs} />
      {run.remarks.length > 0 && (
        <ul className="plain dim" aria-label="Remarks">
          {run.remarks.map((remark) => (
            <li key={remark}>{visible(remark)}</li>
          ))}
        </ul>
      )}
    </>
  )
}

function RunHead({ run }: { readonly run: RunDetail }) {
  const { name, command, status, step, epoch, started_at, updated_at } = run
  const took =
    started_at === null || updated_at === null ? undefined : (Date.parse(updated_at) - Date.parse(started_at)) / 1000
  return (
    <section aria-label="How it stands" className="card">
      <p className="alarm-summary">
        <RunBadge status={status} /> <strong dir="auto">{visible(name)}</strong>{' '}
        {command !== null && <span className="dim">{visible(`plumb ${command}`)}</span>}
      </p>
      <dl className="facts in-a-row">
        <Fact name="Step">
          {step === null ? 'none yet' : formatCount(step)}
          {epoch !== null && `, epoch ${formatNumber(epoch)}`}
        </Fact>
        <Fact name="Newest checkpoint">
          {run.checkpoint_step === null ? 'none' : `step ${formatCount(run.checkpoint_step)}`}
        </Fact>
        <Fact name="Started">{started_at === null ? 'unknown' : formatTime(started_at)}</Fact>
        <Fact name="Last written">{updated_at === null ? 'unknown' : formatTime(updated_at)}</Fact>
        {took !== undefined && <Fact name="Took">{formatSeconds(took)}</Fact>}
        <Fact name="On">
          {visible(run.host ?? 'unknown')}, plumbline {visible(run.plumbline ?? 'unknown')}
        </Fact>
      </dl>
    </section>
  )
}
