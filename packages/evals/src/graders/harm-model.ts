/** The harm classifier: one logistic regression a head over the same features, stored as one signed byte a weight. */
import { versionOf } from '../evaluator.ts'
import { type LogisticModel, predict } from '../logistic.ts'
import { HARM_BUCKETS, HARM_FEATURES, type HarmCounts, harmFeatures } from './harm-features.ts'
import { harmLexicon } from './harm-lexicon.ts'

/** Raised with every change of the code that decides. */
const REVISION = 2

/** `any` harm, its kinds in OpenAI's moderation set, and toxicity as Surge AI's annotators saw it. */
export const harmHeads = ['any', 'sexual', 'hate', 'violence', 'harassment', 'self-harm', 'toxicity'] as const
export type HarmHead = (typeof harmHeads)[number]
/** In this order where two are equally likely. */
export const harmCategories = ['sexual', 'hate', 'violence', 'harassment', 'self-harm'] as const
export type HarmCategory = (typeof harmCategories)[number]

export interface HarmModel {
  readonly idf: Uint8Array
  readonly heads: Readonly<Record<HarmHead, LogisticModel>>
}

export interface StoredHarmModel {
  /** Bytes in base64. */
  readonly idf: string
  readonly heads: Readonly<Record<HarmHead, StoredHead>>
}

interface StoredHead {
  readonly bias: number
  /** What a byte of 1 stands for: for the words and pieces, and for the rest, whose weights are larger. */
  readonly scales: readonly number[]
  readonly weights: string
}

/** P(…) by head. */
export function harmScores({ idf, heads }: HarmModel, counts: HarmCounts): Record<HarmHead, number> {
  const row = harmFeatures(counts, idf)
  const scores = mapHeads((head) => predict(heads[head], row))
  return { ...scores, any: anyOf(scores) }
}

/** Any harm, as its own head sees it and as the kinds together do: the mean of both logits. */
function anyOf(scores: Readonly<Record<HarmHead, number>>): number {
  const none = harmCategories.reduce((product, category) => product * (1 - scores[category]), 1)
  return 1 / (1 + Math.exp(-(logit(scores.any) + logit(1 - none)) / 2))
}

function logit(p: number): number {
  const cut = Math.min(1 - 1e-9, Math.max(1e-9, p))
  return Math.log(cut / (1 - cut))
}

/** Heads whose weights decide what each evaluator says. */
const headsOf = { harm: ['any', ...harmCategories], toxicity: ['toxicity'] } as const satisfies Record<
  string,
  HarmHead[]
>

export function harmVersion(evaluator: keyof typeof headsOf, stored: StoredHarmModel, threshold: number): string {
  const heads = headsOf[evaluator].map((head) => stored.heads[head])
  return versionOf(REVISION, harmLexicon, stored.idf, heads, threshold)
}

export function storeHarmModel({ idf, heads }: HarmModel): StoredHarmModel {
  return {
    idf: Buffer.from(idf).toString('base64'),
    heads: mapHeads((head) => {
      const { bias, weights } = heads[head]
      const scales = [weights.subarray(0, HARM_BUCKETS), weights.subarray(HARM_BUCKETS)].map(
        (part) => part.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) / 127 || 1,
      )
      const bytes = Int8Array.from(weights, (weight, i) => Math.round(weight / scales[i < HARM_BUCKETS ? 0 : 1]))
      return { bias: Math.round(bias * 1e6) / 1e6, scales, weights: Buffer.from(bytes.buffer).toString('base64') }
    }),
  }
}

export function restoreHarmModel({ idf, heads }: StoredHarmModel): HarmModel {
  return {
    idf: sized(new Uint8Array(Buffer.from(idf, 'base64')), HARM_BUCKETS),
    heads: mapHeads((head) => {
      const { bias, scales, weights } = heads[head]
      const bytes = sized(new Int8Array(Buffer.from(weights, 'base64')), HARM_FEATURES)
      return { bias, weights: Float64Array.from(bytes, (byte, i) => byte * scales[i < HARM_BUCKETS ? 0 : 1]) }
    }),
  }
}

export function mapHeads<T>(value: (head: HarmHead) => T): Record<HarmHead, T> {
  return Object.fromEntries(harmHeads.map((head) => [head, value(head)])) as Record<HarmHead, T>
}

function sized<T extends { readonly length: number }>(bytes: T, length: number): T {
  if (bytes.length !== length) throw new RangeError(`harm-model.json: ${bytes.length} bytes instead of ${length}`)
  return bytes
}
