import { createRandom, type Random } from '@plumbline/engine'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type DriftSample, drift, levelPerLook } from './drift.ts'
import { cosine, euclidean, mmdTest } from './mmd.ts'
import { terms, termTable } from './ngrams.ts'
import { drawsAt, permutationPValue, strata } from './permutation.ts'

const topics = {
  billing: ['invoice', 'refund', 'charged', 'card', 'payment', 'account'],
  travel: ['flight', 'hotel', 'luggage', 'visa', 'booking', 'train'],
  filler: ['please', 'the', 'my', 'about', 'help', 'with', 'when', 'today', 'again', 'need'],
}
const pick = (list: readonly string[], random: Random) => list[random.integer(list.length)]

function texts(n: number, side: string, travelShare: number, random: Random, cohort?: string): DriftSample[] {
  return Array.from({ length: n }, (_, i) => {
    const topic = random.uniform() < travelShare ? topics.travel : topics.billing
    const words = Array.from({ length: 8 }, (_, w) => pick(w % 3 === 0 ? topic : topics.filler, random))
    return { id: `${side}-${i}`, text: words.join(' '), cohort }
  })
}

describe('drift of texts', () => {
  test('what moved is named, with texts that show it', () => {
    const random = createRandom(1)
    const found = drift(texts(150, 'ref', 0.1, random), texts(150, 'now', 0.5, random), { random, level: 0.01 })
    if (found.status !== 'ok') throw new Error(found.reason)
    expect(found.hasDrifted).toBe(true)
    expect(found.classifier.auc).toBeGreaterThan(0.6)
    const single = found.moved.filter(({ term }) => !term.includes(' '))
    expect(single.length).toBeGreaterThan(2)
    for (const { term, weight, reference, current, examples } of single.slice(0, 3)) {
      expect(weight > 0 ? topics.travel : topics.billing).toContain(term)
      expect(weight > 0).toBe(current > reference)
      expect(examples[0]).toMatch(weight > 0 ? /^now-/ : /^ref-/)
    }
  })

  test('texts from one source: no drift at 5 % in at least 20 of 25 looks', () => {
    const random = createRandom(9)
    let alarms = 0
    for (let look = 0; look < 25; look++) {
      const found = drift(texts(40, 'ref', 0.3, random), texts(40, 'now', 0.3, random), { random, level: 0.05 })
      if (found.status === 'ok' && found.hasDrifted) alarms++
    }
    // One or two are expected at most; more than five of 25 at 5 % happen once in 800.
    expect(alarms).toBeLessThanOrEqual(5)
  })

  test('a change in the sizes of cohorts is a drift unless asked within cohorts', () => {
    const random = createRandom(3)
    const reference = [...texts(120, 'ref-de', 0, random, 'de'), ...texts(40, 'ref-en', 1, random, 'en')]
    const current = [...texts(40, 'now-de', 0, random, 'de'), ...texts(120, 'now-en', 1, random, 'en')]
    expect(drift(reference, current, { random, level: 0.01 })).toMatchObject({ status: 'ok', hasDrifted: true })
    const within = drift(reference, current, { random, level: 0.01, isCohortAware: true })
    expect(within).toMatchObject({ status: 'ok', hasDrifted: false })
  })

  test('embeddings are used where every text has one', () => {
    const random = createRandom(6)
    const withShift = (side: string, shift: number) =>
      texts(60, side, 0.3, random).map((sample) => ({
        ...sample,
        embedding: [random.normal() + shift, random.normal()],
      }))
    const found = drift(withShift('ref', 0), withShift('now', 1.5), { random, level: 0.01 })
    expect(found).toMatchObject({ status: 'ok', hasDrifted: true, mmd: { over: 'embeddings' } })
  })

  test('too little, nothing, and texts without a term', () => {
    const random = createRandom(1)
    const some = texts(40, 'ref', 0.3, random)
    expect(drift([], some, { random, level: 0.01 })).toMatchObject({ status: 'no data' })
    expect(drift(some, some.slice(0, 5), { random, level: 0.01 })).toMatchObject({ status: 'not evaluated' })
    const other = some.map((sample) => ({ ...sample, cohort: 'other' }))
    expect(drift(some, other, { random, level: 0.01, isCohortAware: true }).status).toBe('not evaluated')
    const empty = some.map(({ id }) => ({ id, text: '…' }))
    expect(drift(empty, empty, { random, level: 0.01 })).toMatchObject({ status: 'ok', hasDrifted: false, moved: [] })
    expect(() => drift(some, some, { random, level: 0 })).toThrow('level 0')
  })

  test('a budget is divided by the looks', () => {
    expect(levelPerLook({ falseAlarmsPerYear: 4, looksPerYear: 365 })).toBeCloseTo(4 / 365, 15)
    expect(() => levelPerLook({ falseAlarmsPerYear: 4, looksPerYear: 2 })).toThrow('more looks than alarms')
  })
})

describe('terms', () => {
  test('words and neighbours, in any script, of a bounded part of the text', () => {
    expect([...terms('Zürich, zürich! 東京')]).toEqual(['zürich', '東京', 'zürich zürich', 'zürich 東京'])
    expect(terms('a '.repeat(1_000_000)).size).toBe(2)
    expect(terms('x'.repeat(3000)).size).toBe(0)
  })

  test('rows have length one', () => {
    const { rows, vocabulary } = termTable(['a b', 'a b', 'b a', '?'])
    expect(vocabulary).toEqual(['a', 'b'])
    expect(rows.map(({ values }) => Math.hypot(...values))).toEqual([1, 1, 1, 0].map((x) => expect.closeTo(x, 12)))
  })
})

describe('MMD', () => {
  test('by hand: two points a side', () => {
    const groups = strata([false, false, true, true], () => '', [0, 1, 2, 3])
    const vectors = [[0], [0], [1], [1]]
    // Median of the distances that are not 0 is 1: k = e⁻¹ between the sides, MMD² = 2 − 2/e.
    const found = mmdTest(groups, euclidean(vectors), { random: createRandom(1), draws: 999 })
    expect(found.mmd2).toBeCloseTo(2 - 2 / Math.E, 12)
    // Of six ways to choose two of four, two give this value.
    expect(found.pValue).toBeCloseTo(1 / 3, 1)
    expect(() => euclidean([[1, 2], [1]])).toThrow('embedding 1')
  })

  test('it is what the definition says, within strata of any sizes', () => {
    const random = createRandom(3)
    const vectors = Array.from({ length: 19 }, () => [random.normal(), random.normal()])
    const sides = vectors.map((_, i) => i % 5 < 3)
    const cohortOf = (i: number) => (i < 8 ? 'a' : 'b')
    const groups = strata(sides, cohortOf, [...sides.keys()])
    const distance = euclidean(vectors)
    const between = groups.flatMap(({ members }) => members.flatMap((i, a) => members.slice(0, a).map((j) => [i, j])))
    const distances = between.map(([i, j]) => distance(i, j)).sort((a, b) => a - b)
    const width = distances[distances.length >> 1]
    let [sum, weights] = [0, 0]
    for (const { members, isCurrent } of groups) {
      const current = isCurrent.filter(Boolean).length
      const reference = members.length - current
      const sign = (a: number) => (isCurrent[a] ? 1 / current : -1 / reference)
      let mmd2 = 0
      members.forEach((i, a) => {
        members.forEach((j, b) => {
          mmd2 += sign(a) * sign(b) * Math.exp(-distance(i, j) / width)
        })
      })
      const weight = (current * reference) / members.length
      sum += weight * mmd2
      weights += weight
    }
    expect(mmdTest(groups, distance, { random, draws: 1 }).mmd2).toBeCloseTo(sum / weights, 12)
  })

  test('distance of rows is that of their vectors', () => {
    const { rows } = termTable(['a b c', 'b c d', 'a c d', 'b a d'])
    const dense = rows.map(({ indices, values }) => {
      const vector = new Array<number>(20).fill(0)
      indices.forEach((index, k) => {
        vector[index] = values[k]
      })
      return vector
    })
    expect(cosine(rows)(0, 1)).toBeCloseTo(euclidean(dense)(0, 1), 12)
    expect(cosine(rows)(0, 0)).toBeCloseTo(0, 12)
  })

  test('p-values of alike samples are at most 5 % in about 5 of 100', () => {
    const random = createRandom(12)
    let small = 0
    for (let run = 0; run < 200; run++) {
      const vectors = Array.from({ length: 24 }, () => [random.normal(), random.normal()])
      const sides = vectors.map((_, i) => i % 2 === 0)
      const groups = strata(sides, () => '', [...sides.keys()])
      if (mmdTest(groups, euclidean(vectors), { random, draws: 99 }).pValue <= 0.05) small++
    }
    expect(small).toBeLessThanOrEqual(20)
    expect(small).toBeGreaterThanOrEqual(2)
  })
})

test('a permutation test never says 0, and says 1 where nothing can differ', () => {
  const groups = strata([true, false], () => '', [0, 1])
  expect(permutationPValue(groups, () => 0, { random: createRandom(1), draws: 9 })).toBe(1)
})

describe('draws that end when enough have reached what was seen', () => {
  const isCurrent = Array.from({ length: 40 }, (_, i) => i < 20)
  const groups = strata(isCurrent, () => '', [...isCurrent.keys()])
  /** The sum of the current values, which are higher by `shift`. */
  const statisticOf = (shift: number, seed: number) => {
    const random = createRandom(seed)
    const values = isCurrent.map((current) => random.normal() + (current ? shift : 0))
    return ([labels]: readonly (readonly boolean[])[]) =>
      labels.reduce((sum, current, i) => sum + (current ? values[i] : 0), 0)
  }

  test('decide as all of them do at every level, also where α · draws is rounded', () => {
    // Half of the second is below 63/999, and 63/999 is rounded to it.
    const levels = fc.oneof(fc.double({ min: 1e-7, max: 1, noNaN: true }), fc.constant(0.12612612612612611))
    fc.assert(
      fc.property(levels, (level) => {
        const alpha = level / 2
        const { draws, enough } = drawsAt(alpha)
        expect((1 + enough) / (1 + draws)).toBeGreaterThan(alpha)
        expect(enough / draws).toBeGreaterThan(alpha)
        // With fewer there is still something to decide.
        expect(enough).toBeLessThanOrEqual(Math.max(20, 2 + draws * alpha))
      }),
    )
  })

  test('those of the classifier are no matter of MMD', () => {
    const mmdOf = (travelShare: number) => {
      const random = createRandom(7)
      const sample = (side: string, share: number, shift: number) =>
        texts(40, side, share, random).map((one) => ({ ...one, embedding: [random.normal() + shift] }))
      const [reference, current] = [sample('ref', 0, 0.2), sample('now', travelShare, 0)]
      const found = drift(reference, current, { random: createRandom(5), level: 0.1 })
      if (found.status !== 'ok') throw new Error(found.status)
      return found
    }
    const [alike, moved] = [mmdOf(0), mmdOf(1)]
    expect(alike.classifier.pValue).toBeGreaterThan(0.05)
    expect(moved.classifier.pValue).toBeLessThan(0.05)
    expect(alike.mmd).toEqual(moved.mmd)
  })

  test('decide as all of them do, in a fraction of them where nothing differs', () => {
    const [draws, level] = [999, 0.02]
    const enough = 1 + Math.floor(draws * level)
    let [decided, rejected, counted] = [0, 0, 0]
    for (let seed = 0; seed < 60; seed++) {
      const statistic = statisticOf(seed < 30 ? 0 : 0.8, seed)
      const count: typeof statistic = (labels) => {
        if (seed < 30) counted++
        return statistic(labels)
      }
      const options = { random: createRandom(seed), draws }
      const all = permutationPValue(groups, statistic, options)
      const early = permutationPValue(groups, count, { ...options, random: createRandom(seed), enough })
      if (all <= level === early <= level) decided++
      if (all <= level) rejected++
    }
    expect(decided).toBe(60)
    expect(rejected).toBeGreaterThan(10)
    expect(rejected).toBeLessThan(50)
    expect(counted / 30).toBeLessThan(draws / 5)
  })

  test('p is at most any α in no more than that share of alike samples', () => {
    const ps = Array.from({ length: 600 }, (_, seed) =>
      permutationPValue(groups, statisticOf(0, seed), { random: createRandom(seed + 1000), draws: 199, enough: 5 }),
    )
    for (const level of [0.05, 0.2, 0.5]) {
      const share = ps.filter((p) => p <= level).length / ps.length
      expect(share).toBeLessThan(level + 4 * Math.sqrt((level * (1 - level)) / ps.length))
      expect(share).toBeGreaterThan(level / 2)
    }
  })
})
