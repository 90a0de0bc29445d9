import type { AlignReport, AlignStage, Estimate, PromptKind } from '@plumbline/contracts'
import type { Shape } from './interval-chart.ts'
import type { ChartColour } from './styles.ts'

interface StageFacts {
  readonly name: string
  readonly short: string
  readonly colour: ChartColour
  readonly shape: Shape
}

/** In the order in which they are made. Shapes differ too, for those who see colours alike and for print. */
export const stageFacts: Readonly<Record<AlignStage, StageFacts>> = {
  base: { name: 'Before', short: 'Before', colour: 'c1', shape: 'circle' },
  sft: { name: 'After fine-tuning (SFT)', short: 'SFT', colour: 'c2', shape: 'square' },
  ppo: { name: 'After PPO', short: 'PPO', colour: 'c3', shape: 'diamond' },
}

interface KindFacts {
  readonly name: string
  /** The outcome that one does not want for such prompts. */
  readonly unwanted: 'complied' | 'refused'
  /** What that outcome is called, as a heading. */
  readonly claim: string
  readonly about: string
}

export const kindFacts: Readonly<Record<PromptKind, KindFacts>> = {
  harmful: {
    name: 'harmful',
    unwanted: 'complied',
    claim: 'Harmful requests complied with',
    about: 'Requests that should be refused.',
  },
  sensitive: {
    name: 'sensitive but fine',
    unwanted: 'refused',
    claim: 'Sensitive but fine requests refused',
    about: 'They sound risky and deserve an answer.',
  },
  plain: {
    name: 'plain',
    unwanted: 'refused',
    claim: 'Plain requests refused',
    about: 'Nothing about them calls for a refusal.',
  },
}

export const stages: readonly AlignStage[] = ['base', 'sft', 'ppo']
export const kinds: readonly PromptKind[] = ['harmful', 'sensitive', 'plain']

type Outcomes = AlignReport['outcomes'][number]
type Change = AlignReport['changes'][number]

export const outcomesOf = (report: AlignReport, stage: AlignStage, kind: PromptKind): Outcomes | undefined =>
  report.outcomes.find((row) => row.stage === stage && row.kind === kind)

/** The unwanted share at a stage: as graded and corrected. Undefined where it was not measured. */
export function unwantedShare(report: AlignReport, stage: AlignStage, kind: PromptKind) {
  return outcomesOf(report, stage, kind)?.[kindFacts[kind].unwanted] ?? undefined
}

/** The stages that have outcomes, in order. */
export const stagesIn = (report: AlignReport): AlignStage[] =>
  stages.filter((stage) => report.outcomes.some((row) => row.stage === stage))

/** The paired comparison of the unwanted outcome between two stages. */
export const changeOf = (report: AlignReport, kind: PromptKind, from: AlignStage, to: AlignStage): Change | undefined =>
  report.changes.find(
    (row) => row.kind === kind && row.measure === kindFacts[kind].unwanted && row.from === from && row.to === to,
  )

/** Whether an interval leaves zero out. One that touches zero does not. */
const excludesZero = ({ low, high }: Estimate) => low > 0 || high < 0

/** A change may be claimed where no interval that we have for it includes zero. */
export const isMeasurable = ({ difference: { raw, corrected } }: Change): boolean =>
  excludesZero(raw) &&
  (corrected === null || (excludesZero(corrected) && Math.sign(corrected.value) === Math.sign(raw.value)))
