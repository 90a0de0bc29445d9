import type { Disagreement } from '@plumbline/contracts'
import type { ReviewLease, Verdict } from '@plumbline/store'

/** What an evaluator, or a guard on the answer, says of it. */
export type Voice = Disagreement['flagged'][number] & { readonly isFlagged: boolean }
type Sides = Pick<Disagreement, 'flagged' | 'passed'>

/** What is to be shown of an item that came for a disagreement. */
export function disagreementOf(
  { disputed, interaction }: Pick<ReviewLease, 'disputed' | 'interaction'>,
  names: readonly string[],
): Disagreement | null {
  if (disputed === undefined) return null
  const voices = [...disputed.verdicts.map(evaluatorVoice), ...guardVoices(interaction.guards)]
  return { ratings: [...disputed.ratings], ...(opposed(voices, names) ?? { flagged: [], passed: [] }) }
}

/** The two sides among those of these names, an evaluator among them; undefined where all say the same. */
export function opposed(voices: readonly Voice[], names: readonly string[]): Sides | undefined {
  const asked = voices.filter(({ name }) => names.includes(name))
  const side = (flags: boolean) =>
    asked.filter(({ isFlagged }) => isFlagged === flags).map(({ isFlagged: _, ...voice }) => voice)
  const sides = { flagged: side(true), passed: side(false) }
  const isOpposed = sides.flagged.length > 0 && sides.passed.length > 0
  return isOpposed && asked.some(({ source }) => source === 'evaluator') ? sides : undefined
}

export function evaluatorVoice({ evaluator, version, label, category, score, isFlagged }: Verdict): Voice {
  return { source: 'evaluator', name: evaluator, version, label, category, score, isFlagged }
}

const hits = ['flagged', 'redacted', 'blocked']

/** Of a record's guards, those that came to a verdict on the answer. */
export function guardVoices(guards: readonly Readonly<Record<string, unknown>>[]): Voice[] {
  return guards.flatMap(({ name, version, direction, outcome, label, score, error }): Voice[] => {
    const isFlagged = hits.includes(String(outcome))
    // One that failed may block all the same.
    const hasFailed = outcome === 'blocked' && error !== null
    if (direction !== 'output' || hasFailed || !(isFlagged || outcome === 'passed')) return []
    return [
      {
        ...{ source: 'guard', name: String(name), version: String(version), category: null, isFlagged },
        label: typeof label === 'string' ? label : null,
        score: typeof score === 'number' ? score : null,
      },
    ]
  })
}
