import type { Evaluations } from '@plumbline/contracts'
import type { SaidOfAnswer } from '@plumbline/store'
import type { MonitoringPlan } from './plan.ts'

type Listed = Evaluations['data'][number]

/** Every current evaluator, those without a verdict too, then what others said. */
export function evaluationsOf({ lanes }: Pick<MonitoringPlan, 'lanes'>, said: SaidOfAnswer): Listed[] {
  const nothing = { label: null, category: null, score: null, error: null, probability: null, at: null }
  const isSame = (one: { evaluator: string; version: string }, name: string, version: string) =>
    one.evaluator === name && one.version === version
  const current = lanes.flatMap(({ name: lane, evaluators }) =>
    evaluators.map(({ name, version }): Listed => {
      const found = said.evaluations.find((one) => isSame(one, name, version))
      if (found !== undefined) return listed(found, true)
      const state = said.lanes.includes(lane) ? 'not_evaluated' : 'waiting'
      return { evaluator: name, version, is_current: true, state, ...nothing }
    }),
  )
  const others = said.evaluations.filter(
    ({ evaluator, version }) => !current.some((one) => isSame(one, evaluator, version)),
  )
  return [...current, ...others.map((one) => listed(one, false))]
}

function listed({ outcome, ...rest }: SaidOfAnswer['evaluations'][number], isCurrent: boolean): Listed {
  return { ...rest, state: outcome, is_current: isCurrent }
}
