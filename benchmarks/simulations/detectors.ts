/** Do the monitors keep their word? Each figure and its setting in a file of its own. */
import { correctedCoverage } from './corrected-coverage.ts'
import { detectionDelays } from './detection-delay.ts'
import { falseAlarms } from './false-alarms.ts'
import type { Simulation } from './simulation.ts'

export const detectors: Simulation = {
  name: 'detectors',
  summary: 'false alarms, delay and coverage of the monitors',
  figures: [...falseAlarms, ...detectionDelays, correctedCoverage],
}
