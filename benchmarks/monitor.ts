import { defineBench } from './bench.ts'
import { evaluation } from './monitor/evaluation.ts'
import { feedback } from './monitor/feedback.ts'

/** What watching and listening cost. */
export const monitor = defineBench({
  name: 'monitor',
  summary: 'evaluators on answers; feedback calls',
  sections: [evaluation, feedback],
  open: () => undefined,
  close: async () => {},
})
