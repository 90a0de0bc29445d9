/**
 * Page's CUSUM between two Bernoulli rates, looked at after every answer: its mean time to a false alarm and its delay, by
 * Brook & Evans' chain (1972, Biometrika 59:539–549) on the lattice of steps. ln(q/p) and ln((1 − p)/(1 − q)) are put on a
 * lattice of the second: a hit rises by `up` cells, a miss falls by one. That is a CUSUM whose rates differ from p and q by
 * less than the rounding of up, a part in some hundred.
 */

interface Change {
  readonly rate: number
  readonly risen: number
  /** Mean answers to a false alarm. */
  readonly arl: number
}

/** Mean answers to an alarm after the change, of the CUSUM with that mean time to a false one. */
export function leastDelay({ rate, risen, arl }: Change): number {
  const up = Math.round(Math.log(risen / rate) / Math.log((1 - rate) / (1 - risen)))
  let [low, high] = [up, 100 * up]
  while (low < high) {
    const middle = (low + high) >> 1
    if (meanRun(middle, up, rate) < arl) low = middle + 1
    else high = middle
  }
  return meanRun(low, up, risen)
}

/**
 * Mean answers until the statistic, 0 at first, reaches `barrier` cells:
 * T(s) = 1 + p T(s + up) + (1 − p) T(max(0, s − 1)), and 0 from the barrier on. One entry below the diagonal and `up`
 * above it, so Gauss' elimination goes down once and up once.
 */
function meanRun(barrier: number, up: number, rate: number): number {
  const band = Array.from({ length: barrier }, (_, s) => {
    const row = new Float64Array(up + 1) // [column − s]
    row[0] = s === 0 ? rate : 1
    if (s + up < barrier) row[up] = -rate
    return row
  })
  const right = new Float64Array(barrier).fill(1)
  for (let s = 1; s < barrier; s++) {
    const factor = (rate - 1) / band[s - 1][0]
    for (let j = 1; j <= up; j++) band[s][j - 1] -= factor * band[s - 1][j]
    right[s] -= factor * right[s - 1]
  }
  const times = new Float64Array(barrier + up)
  for (let s = barrier - 1; s >= 0; s--) {
    let known = right[s]
    for (let j = 1; j <= up; j++) known -= band[s][j] * times[s + j]
    times[s] = known / band[s][0]
  }
  return times[0]
}
