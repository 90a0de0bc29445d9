import { readFileSync } from 'node:fs'

type Counted = readonly [hits: number, n: number]

interface Limits {
  readonly alpha: number
  readonly low: number
  readonly high: number
}

interface Golden {
  readonly sequence: readonly (Limits & { readonly hits: number; readonly n: number })[]
  readonly weighted: {
    readonly values: readonly (number | null)[]
    readonly probabilities: readonly number[]
    readonly smallest: number
    readonly middle: number
    readonly half: number
  }
  readonly melded: readonly (Limits & {
    readonly observed: Counted
    readonly sensitivity: Counted
    readonly specificity: Counted
  })[]
}

/** Numbers of `tests/golden/monitor.py`. */
export const golden: Golden = JSON.parse(
  readFileSync(new URL('../../../tests/golden/monitor.json', import.meta.url), 'utf8'),
)
