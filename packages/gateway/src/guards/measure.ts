import { type Estimate, wilson } from '@plumbline/evals'
import { ChoiceJudge } from './choice-judge.ts'
import { type Guard, type GuardContext, noQuestion } from './guard.ts'

/** A text that a person has judged. */
export interface LabelledText {
  /** What the text answers; empty for a request. */
  readonly prompt: string
  readonly text: string
  readonly isBad: boolean
}

export interface MeasuredGuard {
  readonly name: string
  readonly version: string
  /** Bad texts found, good texts let through; null where there was none to judge. */
  readonly sensitivity: (Estimate & { readonly hits: number; readonly n: number }) | null
  readonly specificity: (Estimate & { readonly hits: number; readonly n: number }) | null
  /** Texts that it could not judge: in neither of both. */
  readonly errors: number
}

/** How often each guard is right. Every guard looks at every text, whatever the others say. */
export async function measureGuards(
  guards: readonly Guard[],
  texts: readonly LabelledText[],
  onText: (done: number) => void,
): Promise<MeasuredGuard[]> {
  const watching = guards.map((guard): Guard => ({ ...guard, mode: 'observe', sources: undefined }))
  const found: { readonly isBad: boolean; readonly outcomes: readonly string[] }[] = []
  for (const { prompt, text, isBad } of texts) {
    const context: GuardContext =
      prompt === ''
        ? { direction: 'input', ...noQuestion }
        : { direction: 'output', prompt, conversation: [{ role: 'user', content: prompt }] }
    const judge = new ChoiceJudge(watching, context, () => {})
    judge.push('text', 'text', text)
    judge.close()
    judge.advance()
    await judge.finished
    found.push({ isBad, outcomes: judge.verdicts().map(({ outcome }) => outcome) })
    onText(found.length)
  }
  return guards.map(({ name, version }, i) => {
    const judged = found.filter(({ outcomes }) => outcomes[i] !== 'error')
    const share = (isBad: boolean) => {
      const members = judged.filter((row) => row.isBad === isBad)
      if (members.length === 0) return null
      const hits = members.filter(({ outcomes }) => (outcomes[i] === 'flagged') === isBad).length
      return { hits, n: members.length, ...wilson({ hits, n: members.length }) }
    }
    return { name, version, sensitivity: share(true), specificity: share(false), errors: found.length - judged.length }
  })
}
