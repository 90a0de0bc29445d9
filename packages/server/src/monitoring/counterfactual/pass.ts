import { createHash } from 'node:crypto'
import { onSecondSide, swapsVersion } from '@plumbline/evals'
import type { PairDay, PairRow, RecordHead, Store } from '@plumbline/store'
import { type Drawn, draw } from '../evaluation/draw.ts'
import { chunks } from '../evaluation/pass.ts'
import type { EvaluationRunner } from '../evaluation/runner.ts'
import { dayOf } from '../evaluation/tally.ts'
import type { Judgement } from '../evaluation/thread.ts'
import type { Judged } from '../evaluation/verdict.ts'
import type { CounterfactualPlan } from '../plan.ts'
import type { Asker, Said } from './ask.ts'
import { type NamedPrompt, readPrompt } from './read-prompt.ts'

export const counterfactualLane = 'counterfactual'

const mostRecords = 1_000
/** When more wait, fewer of each batch are drawn; when far more do, they are passed over. */
const longBacklog = 2_000
const farBehind = 50_000
/** Longer conversations are not asked about again. */
const maxBytes = 64 * 1024
/** After so many failures one after the other, the rest of a batch is not asked. */
const mostFailures = 3

export interface CounterfactualParts {
  readonly store: Store
  readonly plan: CounterfactualPlan
  readonly asker: Asker
  readonly runner: EvaluationRunner
  readonly now: () => number
}

/** Looks at the next answers. Gives whether there may be more to do at once. Settled as a whole, or not at all. */
export async function counterfactualPass(parts: CounterfactualParts, signal: AbortSignal): Promise<boolean> {
  const { store, plan, now } = parts
  const { monitoring } = store
  const at = new Date(now()).toISOString()
  // A process without the section may have taken the lane away: never from the first record on.
  await monitoring.begin(counterfactualLane)
  const asked = await monitoring.asked(at)
  const waiting = await monitoring.pending(counterfactualLane)
  const isPassedOver = asked.day >= plan.perDay || waiting > farBehind
  const left = isPassedOver ? 0 : Math.min(plan.perMinute - asked.minute, plan.perDay - asked.day)
  if (left <= 0 && !isPassedOver) return false
  const most = isPassedOver ? mostRecords : left
  const isLate = waiting > longBacklog
  const size = isLate ? mostRecords : Math.max(1, Math.min(mostRecords, Math.floor(most / plan.sample)))
  const taken = await monitoring.take(counterfactualLane, size)
  if (taken === undefined) return false
  const sampling = { sample: plan.sample, sampleGuarded: plan.sample, most }
  const drawn = draw(taken.heads, counterfactualLane, sampling).filter((one) => isMeant(one, plan))
  const named = isPassedOver ? [] : await namedAmong(drawn, parts)
  const pairs = await askAll(named.slice(0, left), parts, signal)
  const rows = await judgeAll(pairs, parts, signal)
  const done = new Set(pairs.map(({ drawn: { head } }) => head.record))
  // When passed over nothing is read, so all that were drawn count.
  const missed = (isPassedOver ? drawn : named.map((one) => one.drawn)).filter(({ head }) => !done.has(head.record))
  await monitoring.settlePairs(taken, {
    pairs: rows,
    days: daysOf({ looked: isPassedOver ? [] : drawn, named: named.map((one) => one.drawn), notAsked: missed }),
    at,
  })
  return taken.hasMore
}

interface Named {
  readonly drawn: Drawn
  readonly prompt: NamedPrompt
}

interface AskedPair extends Named {
  /** To the prompt as written, and to the swapped one. */
  readonly said: readonly [Said, Said]
}

function isMeant({ isDrawn, head }: Drawn, { projects }: CounterfactualPlan): boolean {
  return isDrawn && head.hasAnswer && !head.isRedacted && (projects === undefined || projects.includes(head.project))
}

async function namedAmong(drawn: readonly Drawn[], { store, plan }: CounterfactualParts): Promise<Named[]> {
  const byRecord = new Map(drawn.map((one) => [one.head.record, one]))
  const short = drawn.map(({ head }) => head).filter(({ bytes }) => bytes <= maxBytes)
  const found: Named[] = []
  for (const chunk of chunks(short))
    for (const { record, body } of await store.monitoring.readBodies(chunk)) {
      const prompt = readPrompt(body, plan, (count) => numberOf(record) % count)
      if (prompt !== undefined) found.push({ drawn: byRecord.get(record)!, prompt })
    }
  return found
}

/** The same for the same record. */
function numberOf(record: string): number {
  return createHash('sha256').update(record).digest().readUInt32BE(0)
}

/** One request at a time. What is erased while a batch is asked is not sent any more: each is read again just before. */
async function askAll(named: readonly Named[], parts: CounterfactualParts, signal: AbortSignal): Promise<AskedPair[]> {
  const { asker } = parts
  const pairs: AskedPair[] = []
  let failures = 0
  for (const { drawn } of named) {
    if (failures === mostFailures) break
    const [now] = await namedAmong([drawn], parts)
    if (now === undefined) continue
    const { model, messages, swapped } = now.prompt
    const said = [await asker.ask(model, messages, signal), await asker.ask(model, swapped, signal)] as const
    failures = said.some((one) => 'error' in one) ? failures + 1 : 0
    pairs.push({ ...now, said })
  }
  return pairs
}

async function judgeAll(
  pairs: readonly AskedPair[],
  { runner, plan }: CounterfactualParts,
  signal: AbortSignal,
): Promise<PairRow[]> {
  const spoken = pairs.flatMap(({ prompt, said }) =>
    said.flatMap((one) => ('text' in one ? [{ one, body: bodyOf(prompt, one.text) }] : [])),
  )
  const bodies = spoken.map(({ body }) => body)
  const judgements = bodies.length === 0 ? [] : await runner.evaluate(bodies, signal)
  const judgementOf = new Map<Said, Judgement>(spoken.map(({ one }, i) => [one, judgements[i]]))
  return pairs.flatMap((pair) =>
    rowsOf(pair, plan, (said, i) => outcomeOf(said, judgementOf.get(said)?.judged[i], plan.evaluators[i].name)),
  )
}

type Outcome = Pick<Judged, 'outcome' | 'error'>

function outcomeOf(said: Said, judged: Outcome | undefined, evaluator: string): Outcome {
  if ('error' in said) return { outcome: 'error', error: said.error }
  // Kept back by the upstream's own filter: a refusal, of which nothing else can be said.
  if ('isFiltered' in said) return { outcome: evaluator === 'refusal' ? 'flagged' : 'set_aside', error: null }
  return judged!
}

/**
 * As an evaluator reads it, with both prompts and both answers about the same person: classifiers score the same sentence
 * otherwise when it names somebody else, and that would be their gap and not the upstream's. It is never a record: nobody
 * was given this answer.
 */
function bodyOf({ axis, original, messages, swapped }: NamedPrompt, answer: string): string {
  const request = { messages: original === 1 ? messages : swapped }
  return JSON.stringify({ text: onSecondSide(answer, axis), choices: [], guards: [], request })
}

function rowsOf(
  { drawn: { head, probability }, prompt: { axis, original }, said }: AskedPair,
  { evaluators }: CounterfactualPlan,
  outcome: (said: Said, evaluator: number) => Outcome,
): PairRow[] {
  return evaluators.map(({ name, version }, i) => {
    const [written, swapped] = [outcome(said[0], i), outcome(said[1], i)]
    const [first, second] = original === 0 ? [written, swapped] : [swapped, written]
    return {
      ...{ project: head.project, record: head.record, recordAt: head.at, evaluator: name, version },
      ...{ axis, swaps: swapsVersion, first: first.outcome, second: second.outcome, probability },
      ...{ isFirstOriginal: original === 0, error: written.error ?? swapped.error },
    }
  })
}

function daysOf(lists: Readonly<Record<'looked' | 'named' | 'notAsked', readonly Drawn[]>>): PairDay[] {
  const keyOf = ({ project, at }: RecordHead) => JSON.stringify([project, dayOf(at)])
  const heads = Object.values(lists).flatMap((list) => list.map(({ head }) => head))
  return [...Map.groupBy(heads, keyOf)].map(([key, [{ project, at }]]) => {
    const count = (list: readonly Drawn[]) => list.filter(({ head }) => keyOf(head) === key).length
    const { looked, named, notAsked } = lists
    return { project, day: dayOf(at), looked: count(looked), named: count(named), notAsked: count(notAsked) }
  })
}
