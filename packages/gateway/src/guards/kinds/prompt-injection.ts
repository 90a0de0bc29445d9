import { z } from 'zod'
import { inTurns, Pace } from '../turns.ts'
import { searchInjection } from './injection-signs.ts'
import { defineKind } from './kind.ts'

/** Some 10 ms on a slow machine. */
const charsATurn = 2 ** 15

/** Text that wants to give the model orders: rules over what is left when hiding places are undone. */
export const promptInjection = defineKind({
  schema: z.strictObject({}),
  modes: ['observe', 'block', 'replace'],
  layer: 0,
  // Of a prompt of 16 MiB it takes some seconds, and as many more as others have a turn in between.
  timeoutMs: 30_000,
  // What the operator writes gives the model orders by right.
  sources: ['user', 'tool', 'text', 'reasoning', 'call'],
  build: () => ({
    version: '2',
    look: {
      by: 'whole',
      judge: async (text, { isCut }, signal) => {
        const isOver = () => signal.aborted || isCut?.() === true
        const label = await inTurns(searchInjection(text), new Pace(charsATurn), isOver)
        return { isFlagged: label !== undefined, score: null, label: label ?? null }
      },
    },
  }),
})
