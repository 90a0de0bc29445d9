import { createHash } from 'node:crypto'
import type { RecordHead } from '@plumbline/store'

export interface Sampling {
  /** Probability of an answer to be judged, and of one in which a guard found something. */
  readonly sample: number
  readonly sampleGuarded: number
  /** Records of a batch that are judged, about: more, and every probability is halved until it fits. */
  readonly most: number
}

export interface Drawn {
  readonly head: RecordHead
  /** Fixed before anything of the record but its head was read. */
  readonly probability: number
  readonly isDrawn: boolean
  /** Drawn, and would have been without its guards: these together are an even sample. */
  readonly isEven: boolean
  /** Its probability without its guards. */
  readonly evenProbability: number
}

/** Which records are judged. The same records give the same draw, so a batch that is begun again changes nothing. */
export function draw(heads: readonly RecordHead[], lane: string, sampling: Sampling): Drawn[] {
  const guarded = Math.max(sampling.sample, sampling.sampleGuarded)
  const wanted = ({ isGuarded }: RecordHead) => (isGuarded ? guarded : sampling.sample)
  const isCandidate = ({ hasAnswer, isGuarded }: RecordHead) => hasAnswer || isGuarded
  const expected = heads.filter(isCandidate).reduce((sum, head) => sum + wanted(head), 0)
  // By halves, so that there are few strata.
  let factor = 1
  // A hundredth more is a full batch all the same: a sum of 400 × 0.05 is a little over 20.
  while (expected * factor > sampling.most * 1.01) factor /= 2
  return heads.map((head) => {
    const probability = wanted(head) * factor
    const place = placeOf(lane, head.record)
    const isDrawn = isCandidate(head) && place < probability
    const evenProbability = sampling.sample * factor
    return { head, probability, isDrawn, isEven: isDrawn && place < evenProbability, evenProbability }
  })
}

/** Uniform in [0, 1). Ids are ours, so nobody chooses where theirs falls; lanes draw independently. */
export function placeOf(lane: string, record: string): number {
  return createHash('sha256').update(`${lane} ${record}`).digest().readUIntBE(0, 6) / 2 ** 48
}
