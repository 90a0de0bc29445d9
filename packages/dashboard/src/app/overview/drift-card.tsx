import type { MonitoringOverview } from '@plumbline/contracts'
import { formatCount, formatDay, formatP } from '../format.ts'
import { visible } from '../parts/content.tsx'
import { MovedTerms } from '../parts/moved-terms.tsx'
import { ReadingBadge } from '../parts/reading.tsx'
import { StateBadge } from '../parts/state-badge.tsx'

/** Whether answers read as they did, and which words moved. */
export function DriftCard({ drift }: Pick<MonitoringOverview, 'drift'>) {
  return (
    <article className="card" data-alarm={drift?.has_drifted || undefined}>
      <div className="card-head">
        <h3>Drift of texts</h3>
        {drift === null ? <ReadingBadge state="no_data" /> : <DriftBadge drift={drift} />}
      </div>
      {drift === null ? (
        <p>There was no look in these days.</p>
      ) : (
        <>
          <p className="dim">
            {formatDay(drift.day)}, {formatCount(drift.current)} texts beside {formatCount(drift.reference)} before.
          </p>
          {drift.reason !== null && <p>{visible(drift.reason)}</p>}
          {drift.auc !== null && (
            <p>
              A classifier tells them apart with AUC {drift.auc.toFixed(2)} (0.5 is no difference),{' '}
              {formatP(drift.classifier_p_value)}; MMD: {formatP(drift.mmd_p_value)}.
            </p>
          )}
          <MovedTerms moved={drift.moved} />
        </>
      )}
    </article>
  )
}

function DriftBadge({ drift: { state, has_drifted } }: { readonly drift: NonNullable<MonitoringOverview['drift']> }) {
  if (state !== 'measured' || has_drifted === null) return <ReadingBadge state={state} />
  return <StateBadge tone={has_drifted ? 'bad' : 'good'}>{has_drifted ? 'texts have changed' : 'no change'}</StateBadge>
}
