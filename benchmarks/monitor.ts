import { defineBench } from './bench.ts'
import { dashboard } from './monitor/dashboard.ts'
import { evaluation } from './monitor/evaluation.ts'
import { feedback } from './monitor/feedback.ts'

/** What watching and listening cost. */
export const monitor = defineBench({
  name: 'monitor',
  summary: 'evaluators on answers; feedback calls; the dashboard over a million records',
  sections: [evaluation, feedback, dashboard],
  open: ({ isQuick, filled, log }) => ({ isQuick, filled, log }),
  close: async () => {},
})
