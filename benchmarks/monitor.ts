import { defineBench } from './bench.ts'
import { evaluation } from './monitor/evaluation.ts'

/** What watching costs. */
export const monitor = defineBench({
  name: 'monitor',
  summary: 'evaluators on answers',
  sections: [evaluation],
  open: () => undefined,
  close: async () => {},
})
