import { defineBench } from './bench.ts'
import { verdicts } from './guards/verdicts.ts'

/** What the gateway's guards promise of streams. */
export const guards = defineBench({
  name: 'guards',
  summary: 'streamed against unstreamed verdicts of the gateway’s guards',
  sections: [verdicts],
  open: () => undefined,
  close: async () => {},
})
