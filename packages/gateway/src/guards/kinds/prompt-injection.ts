import { z } from 'zod'
import { findInjection } from './injection-signs.ts'
import { defineKind } from './kind.ts'

/** Text that wants to give the model orders: rules over what is left when hiding places are undone. */
export const promptInjection = defineKind({
  schema: z.strictObject({}),
  modes: ['observe', 'block', 'replace'],
  layer: 0,
  // What the operator writes gives the model orders by right.
  sources: ['user', 'tool', 'text', 'reasoning', 'call'],
  build: () => ({
    version: '1',
    look: {
      by: 'whole',
      judge: (text) => {
        const label = findInjection(text)
        return { isFlagged: label !== undefined, score: null, label: label ?? null }
      },
    },
  }),
})
