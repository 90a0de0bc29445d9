import { defineBench } from './bench.ts'
import { feedback } from './monitor/feedback.ts'

/** What watching and listening cost. */
export const monitor = defineBench({
  name: 'monitor',
  summary: 'feedback calls',
  sections: [feedback],
  open: () => undefined,
  close: async () => {},
})
