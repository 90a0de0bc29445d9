/**
 * Whether current texts differ from a reference window's, and in what: the classifier two-sample test and MMD, each with
 * half of a look's error. An alarm needs a p-value and, from the classifier, an effect: with enough texts every difference
 * is significant.
 */
import { PlumblineError } from '@plumbline/contracts'
import type { Random } from '@plumbline/engine'
import { type ClassifierTest, classifierTest } from './classifier-test.ts'
import { cosine, euclidean, mmdTest } from './mmd.ts'
import { termTable } from './ngrams.ts'
import { drawsAt, shuffle, strata } from './permutation.ts'
import { noData, notEvaluated, ok, type Reading } from './reading.ts'

export interface DriftSample {
  readonly id: string
  readonly text: string
  /** Named by the caller, such as language or product; only used when asked for. */
  readonly cohort?: string
  /** For MMD; without one in every sample it goes by the terms. */
  readonly embedding?: ArrayLike<number>
}

interface DriftOptions {
  readonly random: Random
  /** Probability of a false alarm at this look; see `levelPerLook`. */
  readonly level: number
  /** The classifier's AUC below which a difference is not worth an alarm. */
  readonly smallestAuc?: number
  /** Compares within cohorts alone: a change in how many answers each cohort has is then no drift. */
  readonly isCohortAware?: boolean
}

export interface MovedTerm {
  readonly term: string
  /** Of the classifier, positive where the term speaks for current texts. */
  readonly weight: number
  /** Shares of texts that have the term. */
  readonly reference: number
  readonly current: number
  /** Ids of up to three texts with the term, from the side that has more of it, the most typical first. */
  readonly examples: readonly string[]
}

export interface DriftReport {
  readonly hasDrifted: boolean
  readonly level: number
  readonly classifier: { readonly pValue: number; readonly auc: number }
  readonly mmd: { readonly pValue: number; readonly mmd2: number; readonly over: 'embeddings' | 'terms' }
  /** What speaks loudest. It explains a drift; without one it is noise. */
  readonly moved: readonly MovedTerm[]
  readonly reference: number
  readonly current: number
}

const FEWEST = 30
/** Texts of each side that are looked at, and of both sides together for MMD. */
const MOST_A_SIDE = 2000
const MOST_FOR_MMD = 600
const MOST_MOVED = 12

/**
 * The level at which each look may be tested so that a year has at most so many false alarms on average. Expectations add
 * up whatever the looks have in common, as the reference window: no independence is assumed.
 */
export function levelPerLook({
  falseAlarmsPerYear,
  looksPerYear,
}: {
  readonly falseAlarmsPerYear: number
  readonly looksPerYear: number
}): number {
  const level = falseAlarmsPerYear / looksPerYear
  if (!(level > 0 && level < 1))
    throw new PlumblineError(
      'INVALID_VALUE',
      `${falseAlarmsPerYear} false alarms in ${looksPerYear} looks a year: both must be above 0, and there must be more looks than alarms.`,
    )
  return level
}

/** One look. The reference must be chosen without sight of the current texts. */
export function drift(
  reference: readonly DriftSample[],
  current: readonly DriftSample[],
  { random, level, smallestAuc = 0.55, isCohortAware = false }: DriftOptions,
): Reading<DriftReport> {
  if (!(level > 0 && level < 1))
    throw new PlumblineError('INVALID_VALUE', `level ${level}: it must lie between 0 and 1; levelPerLook gives one.`)
  if (reference.length === 0 || current.length === 0)
    return noData(`${reference.length} reference and ${current.length} current texts.`)
  if (Math.min(reference.length, current.length) < FEWEST)
    return notEvaluated(`${reference.length} reference and ${current.length} current texts: each side needs ${FEWEST}.`)
  const samples = [...drawn(reference, MOST_A_SIDE, random), ...drawn(current, MOST_A_SIDE, random)]
  const isCurrent = samples.map((_, i) => i >= Math.min(reference.length, MOST_A_SIDE))
  const cohortOf = (i: number) => (isCohortAware ? (samples[i].cohort ?? '') : '')
  const { vocabulary, rows } = termTable(samples.map(({ text }) => text))
  const options = { random, ...drawsAt(level / 2) }
  // Random numbers of its own: how many it takes decides nothing of MMD's.
  const ofClassifier = { ...options, random: random.fork('classifier') }
  const classifier = classifierTest({ rows, features: vocabulary.length, isCurrent, cohortOf }, ofClassifier)
  const groups = strata(isCurrent, cohortOf, drawn([...samples.keys()], MOST_FOR_MMD, random))
  if (classifier === undefined || groups.length === 0) return notEvaluated('No cohort has enough texts on both sides.')
  const embeddings = samples.flatMap(({ embedding }) => (embedding === undefined ? [] : [embedding]))
  const hasEmbeddings = embeddings.length === samples.length
  const mmd = mmdTest(groups, hasEmbeddings ? euclidean(embeddings) : cosine(rows), options)
  const { pValue, auc } = classifier
  return ok({
    hasDrifted: (pValue <= level / 2 && auc >= smallestAuc) || mmd.pValue <= level / 2,
    level,
    classifier: { pValue, auc },
    mmd: { ...mmd, over: hasEmbeddings ? 'embeddings' : 'terms' } as const,
    moved: movedTerms(samples, isCurrent, { vocabulary, rows }, classifier),
    reference: reference.length,
    current: current.length,
  })
}

function drawn<T>(list: readonly T[], most: number, random: Random): T[] {
  const copy = [...list]
  if (copy.length > most) shuffle(copy, random)
  return copy.slice(0, most)
}

/** Terms with the largest weights whose shares moved the same way. */
function movedTerms(
  samples: readonly DriftSample[],
  isCurrent: readonly boolean[],
  { vocabulary, rows }: ReturnType<typeof termTable>,
  { weights, scores }: ClassifierTest,
): MovedTerm[] {
  const sizes = { current: isCurrent.filter(Boolean).length, reference: isCurrent.filter((is) => !is).length }
  const holders: number[][] = vocabulary.map(() => [])
  rows.forEach(({ indices }, text) => {
    for (const index of indices) holders[index].push(text)
  })
  const moved = vocabulary.map((term, i) => {
    const current = holders[i].filter((text) => isCurrent[text]).length / sizes.current
    const reference = holders[i].filter((text) => !isCurrent[text]).length / sizes.reference
    return { term, weight: weights[i], reference, current, texts: holders[i] }
  })
  return moved
    .filter(({ weight, reference, current }) => weight * (current - reference) > 0)
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    .slice(0, MOST_MOVED)
    .map(({ texts, ...term }) => {
      const direction = term.weight > 0 ? 1 : -1
      const typical = texts
        .filter((text) => isCurrent[text] === term.weight > 0)
        .sort((a, b) => direction * (scores[b] - scores[a]))
      return { ...term, examples: typical.slice(0, 3).map((text) => samples[text].id) }
    })
}
