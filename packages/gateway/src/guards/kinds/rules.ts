import { RE2JS } from 're2js'
import { z } from 'zod'
import { regexFinder } from '../regex-finder.ts'
import { settingsVersion } from '../settings-version.ts'
import { defineKind } from './kind.ts'

const maxRules = 1000

const schema = z.strictObject({
  /** Found as whole words, whatever their case. */
  keywords: z.array(z.string().min(1).max(200)).max(maxRules).default([]),
  /** In RE2's syntax. */
  patterns: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9_]{1,40}$/),
        pattern: z.string().min(1),
        ignore_case: z.boolean().default(false),
      }),
    )
    .max(100)
    .default([]),
})

/** Words and regular expressions of the operator's own. */
export const rules = defineKind({
  schema: schema.refine(
    ({ keywords, patterns }) => keywords.length + patterns.length > 0,
    'needs keywords or patterns',
  ),
  modes: ['observe', 'block', 'redact', 'replace'],
  layer: 0,
  build: (settings) => {
    const { keywords, patterns } = settings
    const finders = patterns.map(({ name, pattern, ignore_case }) =>
      regexFinder(pattern, name, { ignoreCase: ignore_case }),
    )
    // Longest first: of two words that begin alike the longer one is to be found.
    const sorted = keywords.toSorted((a, b) => b.length - a.length)
    for (let at = 0; at < sorted.length; at += 50) {
      const words = sorted
        .slice(at, at + 50)
        .map(wholeWord)
        .join('|')
      finders.push(regexFinder(words, 'keyword', { ignoreCase: true }))
    }
    return { version: settingsVersion('1', settings), look: { by: 'spans', finders } }
  },
})

function wholeWord(keyword: string): string {
  const edge = (character: string) => (/\w/.test(character) ? '\\b' : '')
  // Any blank stands for any run of up to four blanks: a line break hides no phrase.
  const quoted = keyword
    .trim()
    .split(/\s+/)
    .map((word) => RE2JS.quote(word))
    .join('\\s{1,4}')
  return `${edge(keyword[0])}${quoted}${edge(keyword.at(-1)!)}`
}
