/** Temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2), for one event. */

/** A logit, and whether the event happened. */
export interface LogitForecast {
  readonly logit: number
  readonly happened: boolean
}

/**
 * The T > 0 with which σ(logit / T) has the least log loss: above 1 where forecasts are too sure. Undefined where the
 * least is at no such T: every sign is right, or no forecast is better than one half throughout.
 */
export function fitTemperature(forecasts: readonly LogitForecast[]): number | undefined {
  // Signed so that positive is right. The loss Σ log(1 + exp(−a·x)) is convex in a = 1 / T.
  const signed = forecasts.map(({ logit, happened }) => (happened ? logit : -logit))
  const slope = (a: number) => signed.reduce((sum, x) => sum - x / (1 + Math.exp(a * x)), 0)
  if (slope(0) >= 0 || signed.every((x) => x >= 0)) return undefined
  let high = 1
  while (slope(high) < 0) high *= 2
  let low = 0
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (slope(middle) < 0) low = middle
    else high = middle
  }
  return 2 / (low + high)
}
