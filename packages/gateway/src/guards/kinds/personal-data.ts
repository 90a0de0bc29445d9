import { type PersonalDataKind, personalDataKinds } from '@plumbline/evals'
import { z } from 'zod'
import type { SpanFinder } from '../guard.ts'
import { settingsVersion } from '../settings-version.ts'
import { defineKind } from './kind.ts'

const names = personalDataKinds.map(({ name }) => name)

/** Addresses and numbers that have a form, checked by their own check digits where they have some. */
export const personalData = defineKind({
  schema: z.strictObject({ kinds: z.array(z.enum(names)).min(1).default(names) }),
  modes: ['observe', 'block', 'redact', 'replace'],
  layer: 0,
  build: (settings) => ({
    version: settingsVersion('1', settings),
    look: {
      by: 'spans',
      finders: personalDataKinds.filter(({ name }) => settings.kinds.includes(name)).map(finderOf),
    },
  }),
})

function finderOf({ name, pattern, alphabet, maxLength, isValid }: PersonalDataKind): SpanFinder {
  const search = new RegExp(pattern)
  return {
    maxLength,
    holds: (codePoint) => alphabet.test(String.fromCodePoint(codePoint)),
    find: (text, from) => {
      search.lastIndex = from
      for (let match = search.exec(text); match !== null; match = search.exec(text)) {
        if (isValid(match[0])) return { start: match.index, end: match.index + match[0].length, label: name }
        // A number may begin inside what was none.
        search.lastIndex = match.index + 1
      }
      return undefined
    },
  }
}
