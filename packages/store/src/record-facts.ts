import type { Interaction } from '@plumbline/contracts'

/** What monitoring asks of a record before it reads it. A record from an older version has null: its text is searched. */
export interface RecordFacts {
  /** The configuration of the gateway that it came through; null also where there was none. */
  readonly config: string | null
  /** A model said something. */
  readonly hasAnswer: boolean | null
  /** A guard found something. */
  readonly isGuarded: boolean | null
}

const hits: readonly unknown[] = ['flagged', 'redacted', 'blocked']

export function recordFacts({
  config,
  choices,
  guards,
}: Pick<Interaction, 'config' | 'choices' | 'guards'>): RecordFacts {
  return {
    config: config ?? null,
    hasAnswer: choices.length > 0,
    isGuarded: guards.some(({ outcome }) => hits.includes(outcome)),
  }
}
