import type { MonitoringOverview, ReadingState } from '@plumbline/contracts'
import type { DriftReport, Reading } from '@plumbline/monitor'

type Drift = NonNullable<MonitoringOverview['drift']>

/** A look as it is kept. */
export interface KeptDrift {
  readonly reading: Reading<DriftReport>
}

const states: Readonly<Record<Reading<object>['status'], ReadingState>> = {
  ok: 'measured',
  'no data': 'no_data',
  'not evaluated': 'not_evaluated',
  error: 'error',
  uncalibrated: 'error',
}

/** What a look for drift found, as it goes out. */
export function driftReading({ day, report }: { readonly day: string; readonly report: unknown }): Drift {
  const { reading } = report as KeptDrift
  const isOk = reading.status === 'ok'
  return {
    day,
    state: states[reading.status],
    reason: isOk ? null : reading.reason,
    has_drifted: isOk ? reading.hasDrifted : null,
    auc: isOk ? reading.classifier.auc : null,
    classifier_p_value: isOk ? reading.classifier.pValue : null,
    mmd_p_value: isOk ? reading.mmd.pValue : null,
    reference: isOk ? reading.reference : 0,
    current: isOk ? reading.current : 0,
    moved: isOk ? reading.moved.map((term) => ({ ...term, examples: [...term.examples] })) : [],
  }
}
