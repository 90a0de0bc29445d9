import type { AlignReport, AlignStage, Estimate, PromptKind } from '@plumbline/contracts'
import { changeOf, isMeasurable, kindFacts, kinds, stageFacts, stagesIn, unwantedShare } from './facts.ts'
import { percent, percentRange, points, pointsRange } from './numbers.ts'

/** One statement of the summary: what it is about, the numbers, and what may be said of them. */
export interface Statement {
  readonly subject: string
  readonly numbers: string
  readonly verdict: string
  /** `none`: no measurable change; `unknown`: nothing to compare. */
  readonly direction: 'better' | 'worse' | 'none' | 'unknown'
}

interface Comparison {
  readonly report: AlignReport
  readonly kind: PromptKind
  readonly from: AlignStage
  readonly to: AlignStage
}

/** Both ends as the same measure: corrected where both are, otherwise as graded. */
function ends({
  report,
  kind,
  from,
  to,
}: Comparison): { before: Estimate; after: Estimate; isCorrected: boolean } | undefined {
  const [before, after] = [unwantedShare(report, from, kind), unwantedShare(report, to, kind)]
  if (before === undefined || after === undefined) return undefined
  if (before.corrected !== null && after.corrected !== null)
    return { before: before.corrected, after: after.corrected, isCorrected: true }
  return { before: before.raw, after: after.raw, isCorrected: false }
}

/** "fell by 81 points (95 % interval −88 to −73 points)", or that nothing can be said. */
function verdictOf({ report, kind, from, to }: Comparison): Pick<Statement, 'verdict' | 'direction'> {
  const change = changeOf(report, kind, from, to)
  if (change === undefined)
    return { verdict: 'not compared on the same prompts, so no change is claimed', direction: 'unknown' }
  // The numbers beside it are corrected where they can be; the change then is too.
  const { raw, corrected } = change.difference
  const isCorrected = corrected !== null && ends({ report, kind, from, to })?.isCorrected === true
  const shown = isCorrected ? corrected : raw
  const interval = `95 % interval of the change ${pointsRange(shown)}`
  if (!isMeasurable(change)) return { verdict: `no measurable change (${interval})`, direction: 'none' }
  const isBetter = shown.value < 0
  const size = points(Math.abs(shown.value)).replace('+', '')
  return {
    verdict: `${isBetter ? 'down' : 'up'} ${size} points (${interval})`,
    direction: isBetter ? 'better' : 'worse',
  }
}

function statement(comparison: Comparison): Statement {
  const found = ends(comparison)
  const subject = kindFacts[comparison.kind].claim
  if (found === undefined)
    return { subject, numbers: 'not measured', verdict: 'nothing to compare', direction: 'unknown' }
  const { before, after, isCorrected } = found
  const numbers = `${percent(before.value)} → ${percent(after.value)} (95 % interval ${percentRange(after)}${isCorrected ? '' : ', as graded'})`
  return { subject, numbers, ...verdictOf(comparison) }
}

/** First stage against last, one statement a kind. Empty where fewer than two stages were measured. */
export function overallStatements(report: AlignReport): Statement[] {
  const present = stagesIn(report)
  if (present.length < 2) return []
  const [from, to] = [present[0], present[present.length - 1]]
  return kinds
    .filter((kind) => report.outcomes.some((row) => row.kind === kind))
    .map((kind) => statement({ report, kind, from, to }))
}

/** What PPO added to SFT, as one sentence; undefined where the two were not both measured. */
export function ppoSentence(report: AlignReport): string | undefined {
  const present = stagesIn(report)
  if (!present.includes('sft') || !present.includes('ppo')) return undefined
  const parts = kinds
    .filter(
      (kind) => unwantedShare(report, 'sft', kind) !== undefined && unwantedShare(report, 'ppo', kind) !== undefined,
    )
    .map((kind) => {
      const subject = kindFacts[kind].claim
      return `${subject.charAt(0).toLowerCase()}${subject.slice(1)}: ${verdictOf({ report, kind, from: 'sft', to: 'ppo' }).verdict}`
    })
  return parts.length === 0 ? undefined : `What PPO added to fine-tuning: ${parts.join('; ')}.`
}

export interface GoalState {
  readonly text: string
  readonly state: 'met' | 'missed' | 'open'
}

/** A goal is met or missed only where the whole interval of the last stage says so. */
export function goalState(report: AlignReport, kind: PromptKind): GoalState | undefined {
  const goal = report.goals.find((one) => one.kind === kind)
  const last = stagesIn(report).at(-1)
  const share = last && unwantedShare(report, last, kind)
  if (goal === undefined || share === undefined || last === undefined) return undefined
  const { value, low, high } = share.corrected ?? share.raw
  const where = `goal at most ${percent(goal.at_most)} (${stageFacts[last].short})`
  if (high <= goal.at_most) return { text: `Met: ${where}`, state: 'met' }
  if (low > goal.at_most) return { text: `Missed: ${where}`, state: 'missed' }
  const side = value <= goal.at_most ? 'the estimate meets it' : 'the estimate misses it'
  return { text: `Not decided: ${where}; ${side}, the interval crosses it`, state: 'open' }
}
