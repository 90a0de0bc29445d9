import type { Evaluator } from '@plumbline/evals'
import { type WatchOptions, watch, watchStateSchema } from '@plumbline/monitor'
import type { Decision, DetectorKey, NewAlarm, StoredDetector } from '@plumbline/store'
import type { RateEvidence } from '../alarms/evidence.ts'
import { dayOf, type Evaluated, evenVerdicts } from './tally.ts'

interface Verdicts extends DetectorKey {
  hits: number
  n: number
  readonly days: Set<string>
  /** The time of the newest answer. */
  last: string
}

/** Takes a batch's verdicts to the detectors of their evaluators. Only the even sample counts there. */
export function deciderOf(
  evaluated: readonly Evaluated[],
  evaluators: readonly Evaluator[],
  options: WatchOptions,
): { readonly keys: readonly DetectorKey[]; readonly decide: (stored: readonly StoredDetector[]) => Decision } {
  const verdicts = verdictsOf(evaluated, evaluators)
  return {
    keys: verdicts.map(({ project, evaluator, version }) => ({ project, evaluator, version })),
    decide: (stored) => {
      const detectors: StoredDetector[] = []
      const alarms: NewAlarm[] = []
      for (const [i, { state: before, ...key }] of stored.entries()) {
        const { hits, n, days, last } = verdicts[i]
        // A state that cannot be read begins anew: better a second baseline than no watch.
        const known = watchStateSchema.safeParse(before).data
        const { state, alarm } = watch(known, { hits, n, days: [...days] }, options)
        detectors.push({ ...key, state })
        if (alarm === undefined) continue
        const { baseline, detection } = alarm
        const evidence: RateEvidence = { baseline, until: last, ...pick(detection) }
        alarms.push({ ...key, kind: 'rate', subject: key.evaluator, summary: summaryOf(key, evidence), evidence })
      }
      return { detectors, alarms }
    },
  }
}

function verdictsOf(evaluated: readonly Evaluated[], evaluators: readonly Evaluator[]): Verdicts[] {
  const found = new Map<string, Verdicts>()
  for (const { head, evaluator, version, isFlagged } of evenVerdicts(evaluated, evaluators)) {
    const { project } = head
    const key = JSON.stringify([project, evaluator])
    const one = found.get(key) ?? { project, evaluator, version, hits: 0, n: 0, days: new Set(), last: '' }
    one.n++
    one.hits += Number(isFlagged)
    one.days.add(dayOf(head.at))
    if (head.at > one.last) one.last = head.at
    found.set(key, one)
  }
  return [...found.values()]
}

function pick(detection: Pick<RateEvidence, 'hits' | 'n' | 'likeliestRate' | 'evidence' | 'needed'>) {
  const { hits, n, likeliestRate, evidence, needed } = detection
  return { hits, n, likeliestRate, evidence, needed }
}

function summaryOf({ evaluator }: DetectorKey, { baseline, likeliestRate, hits, n }: RateEvidence): string {
  const percent = (share: number) => `${(share * 100).toPrecision(2)} %`
  return `${evaluator} flags more answers than before: likely about ${percent(likeliestRate)}, ${percent(baseline.estimate)} in the first days (${hits} of ${n} since the watch began)`
}
