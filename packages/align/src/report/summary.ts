import type { AlignReport, AlignStage, PromptKind } from '@plumbline/contracts'
import { changeOf, isMeasurable, kindFacts, kinds, stageFacts, stagesIn, unwantedShare } from './facts.ts'
import { percent, percentRange, points, pointsRange } from './numbers.ts'

/** One statement of the summary. */
export interface Statement {
  readonly subject: string
  /** As graded: "93 % → 12 %". */
  readonly numbers: string
  /** What may be said of them. */
  readonly verdict: string
  /** The same rates corrected for the error of the grader, where they can be. */
  readonly corrected: string | undefined
  /** `none`: no measurable change; `unknown`: nothing to compare. */
  readonly direction: 'better' | 'worse' | 'none' | 'unknown'
}

interface Comparison {
  readonly report: AlignReport
  readonly kind: PromptKind
  readonly from: AlignStage
  readonly to: AlignStage
}

/** "down 81 points (95 % interval …)", or that nothing can be said. The paired test is of the rates as graded. */
function verdictOf({ report, kind, from, to }: Comparison): Pick<Statement, 'verdict' | 'direction'> {
  const change = changeOf(report, kind, from, to)
  if (change === undefined)
    return { verdict: 'Not compared on the same prompts, so no change is claimed.', direction: 'unknown' }
  const { raw } = change.difference
  const interval = `95 % interval of the change: ${pointsRange(raw)}`
  if (!isMeasurable(change)) return { verdict: `No measurable change (${interval}).`, direction: 'none' }
  const size = points(Math.abs(raw.value)).replace('+', '')
  const isBetter = raw.value < 0
  return {
    verdict: `${isBetter ? 'Down' : 'Up'} ${size} points (${interval}).`,
    direction: isBetter ? 'better' : 'worse',
  }
}

function statement(comparison: Comparison): Statement | undefined {
  const { report, kind, from, to } = comparison
  const subject = kindFacts[kind].claim
  const [before, after] = [unwantedShare(report, from, kind), unwantedShare(report, to, kind)]
  if (before === undefined || after === undefined) return undefined
  const corrected =
    before.corrected && after.corrected
      ? `Corrected for the error of the grader: ${percent(before.corrected.value)} → ${percent(after.corrected.value)} (${percentRange(after.corrected)}).`
      : undefined
  return {
    subject,
    numbers: `${percent(before.raw.value)} → ${percent(after.raw.value)}`,
    corrected,
    ...verdictOf(comparison),
  }
}

const statements = (report: AlignReport, from: AlignStage, to: AlignStage): Statement[] =>
  kinds.map((kind) => statement({ report, kind, from, to })).filter((found) => found !== undefined)

/** First stage against last, one statement a kind. Empty where fewer than two stages were measured. */
export function overallStatements(report: AlignReport): Statement[] {
  const present = stagesIn(report)
  return present.length < 2 ? [] : statements(report, present[0], present[present.length - 1])
}

/** What PPO added to fine-tuning, one statement a kind. Empty where it cannot be told from the whole. */
export function ppoStatements(report: AlignReport): Statement[] {
  return stagesIn(report)[0] === 'sft' ? [] : statements(report, 'sft', 'ppo')
}

export interface GoalState {
  readonly text: string
  readonly state: 'met' | 'missed' | 'open'
}

/** A goal is met or missed only where all intervals that we have of the last stage say so, whole. */
export function goalState(report: AlignReport, kind: PromptKind): GoalState | undefined {
  const goal = report.goals.find((one) => one.kind === kind)
  const last = stagesIn(report).at(-1)
  const share = last && unwantedShare(report, last, kind)
  if (goal === undefined || last === undefined || share === undefined) return undefined
  const intervals = [share.raw, share.corrected].filter((interval) => interval !== null)
  const where = `goal of at most ${percent(goal.at_most)} (${stageFacts[last].short})`
  if (intervals.every(({ high }) => high <= goal.at_most)) return { text: `Met: ${where}.`, state: 'met' }
  if (intervals.every(({ low }) => low > goal.at_most)) return { text: `Missed: ${where}.`, state: 'missed' }
  const side = share.raw.value <= goal.at_most ? 'meets' : 'misses'
  return { text: `Not decided: ${where}. The rate ${side} it, the interval reaches across.`, state: 'open' }
}
