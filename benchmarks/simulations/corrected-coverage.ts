/**
 * How often the 95 % corrected rate holds the true one, when the rate, the sensitivity and the specificity are all drawn
 * anew in each run. The value is the worst setting's: a mean over settings would hide it.
 */
import { createRandom } from '@plumbline/engine'
import { roganGladen } from '@plumbline/evals'
import { correctedRate } from '@plumbline/monitor'
import { binomialSampler } from './binomial.ts'
import type { SimulatedFigure, SimulationOptions } from './simulation.ts'

/** Chosen before the first run: rare to common, small to large calibration sets, a poor grader, nobody wrong. */
const settings = [
  { rate: 0.005, n: 30_000, sensitivity: 0.9, positives: 100, specificity: 0.98, negatives: 1000 },
  { rate: 0.02, n: 30_000, sensitivity: 0.9, positives: 200, specificity: 0.98, negatives: 2000 },
  { rate: 0.02, n: 1000, sensitivity: 0.7, positives: 30, specificity: 0.995, negatives: 300 },
  { rate: 0.1, n: 1000, sensitivity: 0.92, positives: 120, specificity: 0.385, negatives: 120 },
  { rate: 0.3, n: 200, sensitivity: 0.95, positives: 50, specificity: 0.94, negatives: 50 },
  { rate: 0.02, n: 2000, sensitivity: 0.999, positives: 100, specificity: 0.999, negatives: 1000 },
] as const

export const correctedCoverage: SimulatedFigure = {
  name: 'coverage_corrected_rate',
  title: 'coverage of the 95 % corrected rate, the worst of six settings',
  goal: { text: '≥ 0.94', isMet: (value) => value >= 0.94 },
  run: (options) => {
    const found = settings.map((setting) => ({ ...setting, ...coverage(setting, options) }))
    const value = Math.min(...found.map((one) => one.coverage))
    return { value, details: { confidence: 0.95, settings: found } }
  },
}

function coverage(setting: (typeof settings)[number], { runs, seed }: SimulationOptions) {
  const { rate, n, sensitivity, positives, specificity, negatives } = setting
  const random = createRandom(seed).fork(`coverage ${JSON.stringify(setting)}`)
  const drawHits = binomialSampler(n, rate * sensitivity + (1 - rate) * (1 - specificity))
  const drawSe = binomialSampler(positives, sensitivity)
  const drawSp = binomialSampler(negatives, specificity)
  const isCovered = ({ low, high }: { low: number; high: number }) => low <= rate && rate <= high
  let [covered, widths, peerCovered, peerWidths] = [0, 0, 0, 0]
  for (let run = 0; run < runs; run++) {
    const observed = { hits: drawHits(random), n }
    const error = {
      sensitivity: { hits: drawSe(random), n: positives },
      specificity: { hits: drawSp(random), n: negatives },
    }
    const ours = correctedRate(observed, error)
    if (ours.status !== 'ok') throw new Error(`${JSON.stringify({ observed, error })}: ${ours.status}`)
    const peer = roganGladen(observed, error)
    if (isCovered(ours)) covered++
    if (isCovered(peer)) peerCovered++
    widths += ours.high - ours.low
    peerWidths += peer.high - peer.low
  }
  const rounded = (x: number) => Number(x.toPrecision(4))
  return {
    coverage: covered / runs,
    mean_width: rounded(widths / runs),
    lang_reiczigel_coverage: peerCovered / runs,
    lang_reiczigel_mean_width: rounded(peerWidths / runs),
  }
}
