import type { Upstream } from './upstream.ts'

/** An upstream's part in the configuration. */
export interface Route {
  readonly upstream: Upstream
  readonly weight: number
  readonly models?: readonly string[]
  readonly isFallback: boolean
}

/** Whether it has this model, as far as is known: a request may name none, and an upstream need not list its own. */
export function serves({ models }: Route, model: string | undefined): boolean {
  return models === undefined || model === undefined || models.includes(model)
}

/**
 * One of the upstreams that could answer: by weight among those that are not fallbacks, else the first fallback.
 * Upstreams that fail too often are left out, and those for which `isWanted` is false. `random` is in [0, 1).
 */
export function chooseUpstream(
  routes: readonly Route[],
  isWanted: (upstream: Upstream) => boolean,
  random: number,
): Upstream | undefined {
  const able = routes.filter(({ upstream, weight }) => weight > 0 && upstream.breaker.allows && isWanted(upstream))
  const primaries = able.filter(({ isFallback }) => !isFallback)
  if (primaries.length === 0) return able[0]?.upstream
  let rest = random * primaries.reduce((sum, { weight }) => sum + weight, 0)
  for (const { upstream, weight } of primaries) {
    rest -= weight
    if (rest < 0) return upstream
  }
  return primaries.at(-1)?.upstream
}
