import type { Metrics } from './metrics.ts'
import type { PolicyBook, PolicyOptions } from './policies.ts'

/** Puts the configuration in force that `reread` gives, one reload after the other. What is wrong with it is thrown. */
export function createReload(policies: PolicyBook, metrics: Metrics, reread: () => Promise<PolicyOptions>) {
  let last: Promise<unknown> = Promise.resolve()
  return (): Promise<{ readonly config: string }> => {
    const next = last.then(async () => {
      policies.apply(await reread())
      return { config: policies.current.version }
    })
    last = next.then(
      () => metrics.count('plumbline_reloads_total', { result: 'ok' }),
      () => metrics.count('plumbline_reloads_total', { result: 'refused' }),
    )
    return next
  }
}
