import type { Shipper, Spool } from '@plumbline/store'
import { type Gauge, labelText } from './metrics.ts'
import type { Policies } from './policies.ts'
import type { Recorder } from './recorder.ts'
import type { RewardModel } from './reward-model.ts'

export interface GaugeParts {
  readonly spool: Spool
  readonly shipper: Pick<Shipper, 'state'>
  readonly recorder: Recorder
  readonly rewardModel?: Pick<RewardModel, 'state'> | undefined
}

const breakerNumbers = { closed: 0, half_open: 1, open: 2 } as const

/** What is read when somebody asks for the metrics. */
export function readGauges(parts: GaugeParts, policies: Policies, inFlight: number): Gauge[] {
  const spool = parts.spool.state()
  const shipper = parts.shipper.state()
  const reward = parts.rewardModel?.state()
  const gauge = (name: string, value: number, help: string): Gauge => ({
    name,
    help,
    type: 'gauge',
    values: { '': value },
  })
  const total = (name: string, value: number, help: string): Gauge => ({
    ...gauge(name, value, help),
    type: 'counter',
  })
  const breakers = policies.routes.map(({ upstream: { name, breaker } }): [string, number] => [
    labelText({ upstream: name }),
    breakerNumbers[breaker.state],
  ])
  return [
    gauge('plumbline_in_flight', inFlight, 'Answers that are on their way.'),
    {
      ...gauge('plumbline_breaker_state', 0, 'Whether an upstream is left alone: 0 no, 1 it is tried again, 2 yes.'),
      values: Object.fromEntries(breakers),
    },
    gauge('plumbline_spool_bytes', spool.bytes, 'Records on disk that are not in the store yet.'),
    gauge('plumbline_spool_pending_records', spool.pendingRecords, 'Records that are not on disk yet.'),
    gauge('plumbline_spool_failing', spool.fault === undefined ? 0 : 1, 'Whether the spool cannot be written.'),
    total('plumbline_spool_damaged_total', spool.damaged, 'Damaged regions of the spool, kept aside.'),
    total('plumbline_records_shipped_total', shipper.shipped, 'Records that the store has taken.'),
    total('plumbline_records_refused_total', shipper.refused, 'Records that the store refuses, kept aside.'),
    gauge('plumbline_store_away', shipper.isStoreAway ? 1 : 0, 'Whether the store cannot be written.'),
    total('plumbline_records_lost_total', parts.recorder.lost(), 'Answers that could not be recorded.'),
    total('plumbline_records_late_total', parts.recorder.late(), 'Answers that went out before their record was safe.'),
    ...(reward === undefined
      ? []
      : [
          gauge('plumbline_reward_model_up', reward.isUp ? 1 : 0, 'Whether the process of the reward model is there.'),
          gauge('plumbline_reward_model_waiting', reward.waiting, 'Calls that the reward model has not answered yet.'),
        ]),
  ]
}
