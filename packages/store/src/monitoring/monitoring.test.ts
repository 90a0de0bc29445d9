import { setTimeout as sleep } from 'node:timers/promises'
import type { Interaction } from '@plumbline/contracts'
import { beforeAll, expect, test } from 'vitest'
import { interactionJson } from '../interactions.ts'
import { recordFacts } from '../record-facts.ts'
import { recordRow } from '../record-row.test-support.ts'
import type { ReviewRequest } from '../review/queue.ts'
import { createStore, type Store } from '../store.ts'
import { describeStores } from '../stores.test-support.ts'
import { createMonitoring } from './monitoring.ts'
import type { Settlement } from './settle.ts'

const at = '2026-01-02T03:04:05.678Z'
const day = '2026-01-02'

describeStores('monitoring', (suite) => {
  let store: Store
  beforeAll(() => {
    store = suite.store()
  })

  const settlement = (record: string, project: string, more: Partial<Settlement> = {}): Settlement => ({
    evaluations: [
      {
        ...{ project, record, recordAt: at, evaluator: 'e', version: '1', outcome: 'flagged', label: 'bad\u0000' },
        ...{ category: null, score: 0.5, error: null, probability: 0.5 },
      },
    ],
    traffic: [{ project, lane: 'l', day, probability: 0.5, answers: 2, failed: 1, sampled: 1, evaluated: 1 }],
    rates: [
      {
        project,
        evaluator: 'e',
        version: '1',
        day,
        probability: 0.5,
        lane: 'l',
        judged: 1,
        flagged: 1,
        setAside: 0,
        errors: 0,
      },
    ],
    cohorts: [{ project, evaluator: 'e', version: '1', day, attribute: 'a', cohort: '<b>', judged: 1, flagged: 1 }],
    marks: [{ project, kind: 'model', name: 'm', at }],
    review: [],
    reviewMore: () => [],
    reviewSample: () => [],
    reviewsPerDay: 1,
    detectors: [{ project, evaluator: 'e', version: '1' }],
    decide: ([{ state, ...key }]) => ({
      detectors: [{ ...key, state: { count: Number((state as { count?: number })?.count ?? 0) + 1 } }],
      alarms: [{ project, kind: 'rate', subject: 'e', version: '1', summary: "it's <b>", evidence: { a: 1 } }],
    }),
    notify: ['alarm-test'],
    at,
    ...more,
  })
  const sums = (project: string) => store.monitoring.sums({ project, from: day, to: day })

  test('a record that is deleted while what evaluators found in it is being written keeps none of that', async () => {
    // PGlite has one connection, and nothing at the same time.
    if (suite.name === 'PGlite') return
    const project = 'deleted meanwhile'
    const row = recordRow({ project })
    await store.insertInteractions([row])
    const other = createStore(await suite.open())
    const taken = (await store.monitoring.take('deleted meanwhile', 1000))!
    let erased: Promise<number> | undefined
    const database = suite.database()
    const interrupted = createMonitoring({
      ...database,
      transaction: (work) =>
        database.transaction((queries) =>
          work({
            query: async (sql, parameters) => {
              const rows = await queries.query(sql, parameters)
              if (!sql.includes('insert into plumbline.evaluations')) return rows
              erased = other.erase({ project, target: row.record, kind: 'record', mode: 'delete', at: row.createdAt })
              await Promise.race([erased, sleep(1_000)])
              return rows
            },
          }),
        ),
    })
    expect(await interrupted.settle(taken, settlement(row.record, project))).toBe(true)
    expect(await erased).toBe(1)
    const left = await database.query('select 1 as one from plumbline.evaluations where project = $1', [project])
    expect(left).toEqual([])
  })

  test('what came of a batch counts once, whoever settles it twice; the next one adds to it', async () => {
    const { monitoring } = store
    const project = 'once'
    const rows = [recordRow({ project }), recordRow({ project })]
    await store.insertInteractions([rows[0]])
    const taken = (await monitoring.take('once', 10))!
    expect(await monitoring.settle(taken, settlement(rows[0].record, project))).toBe(true)
    expect(await monitoring.settle(taken, settlement(rows[0].record, project))).toBe(false)
    expect(await sums(project)).toMatchObject({
      traffic: [{ day, probability: 0.5, answers: 2, failed: 1, sampled: 1, evaluated: 1 }],
      rates: [{ evaluator: 'e', judged: 1, flagged: 1, setAside: 0, errors: 0 }],
      cohorts: [{ cohort: '<b>', judged: 1 }],
      marks: [{ name: 'm', at }],
    })
    await store.insertInteractions([rows[1]])
    const next = (await monitoring.take('once', 10))!
    expect(next.heads.map(({ record }) => record)).toEqual([rows[1].record])
    await monitoring.settle(next, settlement(rows[1].record, project))
    expect((await sums(project)).rates).toMatchObject([{ judged: 2 }])
    expect(await monitoring.detectors(project)).toMatchObject([{ state: { count: 2 } }])
    const { data: alarms } = await monitoring.listAlarms(project, { limit: 9 })
    expect(alarms).toMatchObject([{ detections: 2, summary: "it's <b>", state: 'open' }])
    expect(await monitoring.notifications(project, alarms[0].id)).toMatchObject([{ state: 'waiting' }])
    // Tried for a day, by a worker that waits an hour at most.
    expect((await store.jobs.lease(['alarm-test'], 0))!.maxAttempts).toBeGreaterThan(24)
    await monitoring.closeAlarm(project, { id: alarms[0].id, by: 'k', at })
    expect(await monitoring.listAlarms(project, { limit: 9, state: 'open' })).toEqual({ data: [], next: null })
  })

  test('a lane begins with what comes after its first start, and later goes on where it stood', async () => {
    const { monitoring } = store
    const row = () => recordRow({ project: 'begun' })
    const [old, next, last] = [row(), row(), row()]
    await store.insertInteractions([old])
    await monitoring.begin('begun')
    expect(await monitoring.take('begun', 10)).toBeUndefined()
    await store.insertInteractions([next])
    await monitoring.begin('begun')
    const taken = (await monitoring.take('begun', 1))!
    expect(taken.heads.map(({ record }) => record)).toEqual([next.record])
    await store.insertInteractions([last])
    await monitoring.begin('begun')
    expect((await monitoring.take('begun', 1))!.from).toBe(taken.from)
  })

  test('a lane that was forgotten begins with what comes after its next start', async () => {
    const { monitoring } = store
    const row = () => recordRow({ project: 'forgotten' })
    const [between, next] = [row(), row()]
    await monitoring.begin('forgotten')
    await monitoring.forget('forgotten')
    await store.insertInteractions([between])
    await monitoring.begin('forgotten')
    expect(await monitoring.take('forgotten', 10)).toBeUndefined()
    await store.insertInteractions([next])
    expect((await monitoring.take('forgotten', 10))!.heads.map(({ record }) => record)).toEqual([next.record])
  })

  test('the most urgent answers of a day come before reviewers, each once, whatever speaks for it', async () => {
    const project = 'urgent'
    const [row, ...rows] = [1, 2, 3, 4].map(() => recordRow({ project }))
    await store.monitoring.begin('urgent')
    await store.insertInteractions([row, ...rows])
    const ask = (which: number, reason: ReviewRequest['reason'], priority: number): ReviewRequest => ({
      ...{ project, interaction: rows[which].record, reason, priority },
      ...{ category: null, people: 1, gold: null, at },
    })
    const review = [ask(0, 'evaluator', 30), ask(1, 'evaluator', 50), ask(2, 'evaluator', 40), ask(0, 'guard', 60)]
    const taken = (await store.monitoring.take('urgent', 10))!
    await store.monitoring.settle(taken, settlement(row.record, project, { review, reviewsPerDay: 2 }))
    const first = await store.review.next(project, 'somebody', 60_000)
    expect(first).toMatchObject({ interaction: { record: rows[0].record }, priority: 60 })
    expect([...first!.reasons].sort()).toEqual(['evaluator', 'guard'])
    const second = await store.review.next(project, 'somebody else', 60_000)
    expect(second).toMatchObject({ interaction: { record: rows[1].record } })
    expect((await store.review.figures(project)).items.open).toBe(2)
  })

  test('a batch that fails leaves no trace and is taken again; evaluations go with their record', async () => {
    const { monitoring } = store
    const project = 'whole'
    const row = recordRow({ project })
    await store.insertInteractions([row])
    const taken = (await monitoring.take('whole', 1000))!
    const decide = () => {
      throw new Error('a fault')
    }
    await expect(monitoring.settle(taken, settlement(row.record, project, { decide }))).rejects.toThrow('a fault')
    expect((await sums(project)).traffic).toEqual([])
    expect(await monitoring.take('whole', 1000)).toEqual(taken)
    await monitoring.settle(taken, settlement(row.record, project))
    const key = { project, evaluator: 'e', version: '1' }
    const flagged = () => monitoring.findEvaluations(key, { outcome: 'flagged', until: at, limit: 9 })
    expect(await flagged()).toMatchObject([{ record: row.record, label: 'bad\ufffd', score: 0.5 }])
    const erasure = { project, target: row.record, kind: 'record', mode: 'delete', at: '2027-01-01T00:00:00Z' } as const
    await store.noteErasure(erasure)
    await store.erase(erasure)
    expect(await flagged()).toEqual([])
  })

  test('two lanes that settle at once: one of them sees what both said', async () => {
    const { monitoring } = store
    const other = suite.name === 'PostgreSQL' ? createStore(await suite.open()).monitoring : monitoring
    const lanes = ['left', 'right']
    for (const lane of lanes) await monitoring.begin(lane)
    for (let time = 0; time < 10; time++) {
      const row = recordRow({ project: 'lanes' })
      await store.insertInteractions([row])
      const seen: string[][] = []
      await Promise.all(
        lanes.map(async (lane, i) => {
          const into = i === 0 ? monitoring : other
          const own = settlement(row.record, 'lanes')
          const evaluations = own.evaluations.map((one) => ({ ...one, evaluator: lane }))
          const reviewMore: Settlement['reviewMore'] = (verdicts) => {
            seen.push(verdicts.map(({ evaluator }) => evaluator))
            return []
          }
          await into.settle((await into.take(lane, 9))!, { ...own, evaluations, reviewMore, detectors: [], decide })
        }),
      )
      expect(seen.map(({ length }) => length).sort()).toEqual([1, 2])
    }
    function decide() {
      return { detectors: [], alarms: [] }
    }
  })

  test('names of cohorts past a bound are counted together; those that are kept go on', async () => {
    const { monitoring } = store
    const project = 'cohorts'
    const add = async (names: readonly string[]) => {
      const row = recordRow({ project })
      await store.insertInteractions([row])
      const taken = (await monitoring.take('cohorts', 1000))!
      const [one] = settlement(row.record, project).cohorts
      const cohorts = names.map((cohort) => ({ ...one, cohort }))
      expect(await monitoring.settle(taken, settlement(row.record, project, { cohorts }))).toBe(true)
    }
    await monitoring.take('cohorts', 1)
    await add(Array.from({ length: 150 }, (_, i) => `first ${i}`))
    await add([...Array.from({ length: 80 }, (_, i) => `second ${i}`), 'first 7', 'a\u0000', 'a\ufffd'])
    const { cohorts } = await sums(project)
    expect(cohorts).toHaveLength(201)
    const judged = Object.fromEntries(cohorts.map((row) => [row.cohort, row.judged]))
    expect(judged).toMatchObject({ 'first 7': 2, 'a\ufffd': 2, 'all others': 31 })
    expect(cohorts.reduce((total, row) => total + row.judged, 0)).toBe(150 + 83)
  })

  test('what a client writes into its request is no answer, no guard and no configuration', async () => {
    const project = 'marks'
    const request = { x: { choices: [{}], config: 'c' }, guards: [{ outcome: 'blocked' }], request: 1 }
    const row = (fields: object) =>
      recordRow({ project, json: interactionJson({ request, ...fields } as unknown as Interaction) })
    const guards = [{ outcome: 'flagged' }]
    await store.monitoring.take('marks', 1)
    await store.insertInteractions([row({ choices: [], guards: [] }), row({ choices: [{}], guards, config: 'own' })])
    const heads = (await store.monitoring.take('marks', 1000))!.heads.filter((head) => head.project === project)
    expect(heads).toMatchObject([
      { hasAnswer: false, isGuarded: false, config: null },
      { hasAnswer: true, isGuarded: true, config: 'own' },
    ])
  })

  test('a record of an older version, whose text is searched, has the head that its columns would give it', async () => {
    const project = 'heads'
    const guards = ['passed', 'flagged', 'redacted', 'blocked', 'error'].map((outcome) => ({ outcome }))
    const interactions = [
      { choices: [], guards: [] },
      { choices: [{ index: 0 }], guards: [], config: 'own' },
      ...guards.map((guard) => ({ choices: [], guards: [guard], config: 'own' })),
    ] as unknown as Interaction[]
    const rows = interactions.flatMap((one) => {
      const json = interactionJson({ ...one, request: null })
      return [recordRow({ project, json }), recordRow({ project, json, ...recordFacts(one) })]
    })
    // Nobody reads the text of what has its columns.
    const odd = recordRow({ project, config: 'c', hasAnswer: true, isGuarded: true, json: '{}' })
    const redacted = [rows[2], rows[3], rows[6], rows[7]]
    await store.monitoring.take('heads', 1)
    await store.insertInteractions([...rows, odd])
    const heads = async () => {
      const taken = (await store.monitoring.take('heads', 1000))!.heads.filter((head) => head.project === project)
      expect(taken.pop()).toMatchObject({ config: 'c', hasAnswer: true, isGuarded: true })
      const asked = taken.map(({ config, hasAnswer, isGuarded, isRedacted }) => ({
        config,
        hasAnswer,
        isGuarded,
        isRedacted,
      }))
      expect(asked.filter((_, i) => i % 2 === 0)).toEqual(asked.filter((_, i) => i % 2 === 1))
      return asked.filter((_, i) => i % 2 === 1)
    }
    const before = await heads()
    expect(before.map(({ hasAnswer }) => hasAnswer)).toEqual([false, true, false, false, false, false, false])
    expect(before.map(({ isGuarded }) => isGuarded)).toEqual([false, false, false, true, true, true, false])
    for (const { record } of redacted) {
      const one = { project, target: record, kind: 'record', mode: 'redact', at: '2027-01-01T00:00:00Z' } as const
      await store.noteErasure(one)
      await store.erase(one)
    }
    const gone = { config: 'own', hasAnswer: false, isGuarded: false, isRedacted: true }
    expect(await heads()).toEqual(before.map((one, i) => (i === 1 || i === 3 ? gone : one)))
  })

  test('a sample for drift has answers without requests, and none that is too long', async () => {
    const project = 'sample'
    const row = (fields: object) =>
      recordRow({ project, json: interactionJson({ request: { a: 'long' }, ...fields } as unknown as Interaction) })
    const choices = [{ index: 0 }]
    const kept = row({ text: 'short', choices })
    await store.insertInteractions([kept, row({ text: 'a'.repeat(70_000), choices }), row({ text: '', choices: [] })])
    expect(await store.monitoring.sampleAnswers({ project, from: day, to: day }, 10)).toEqual([
      { record: kept.record, body: JSON.stringify({ text: 'short', choices }) },
    ])
  })

  test('a backlog of older days is shared out by the traffic of these days', async () => {
    const { monitoring } = store
    const [project, old, between] = ['backlog', '2025-11-01', '2025-11-02']
    const drawn: unknown[] = []
    const settleOn = async (days: Readonly<Record<string, number>>) => {
      const row = recordRow({ project })
      await store.insertInteractions([row])
      const counted = { project, lane: 'l', probability: 1, answers: 9, failed: 0, evaluated: 0 }
      const traffic = Object.entries(days).map(([day, sampled]) => ({ ...counted, day, sampled }))
      const reviewSample = (perDay: ReadonlyMap<string, number>) => {
        drawn.push(perDay.get(project))
        return []
      }
      await monitoring.settle((await monitoring.take(project, 10_000))!, {
        ...settlement(row.record, project),
        traffic,
        reviewSample,
      })
    }
    await monitoring.begin(project)
    await settleOn({ [old]: 7, [between]: 2 })
    await settleOn({ [old]: 5 })
    await settleOn({ [between]: 1, [day]: 4 })
    expect(drawn).toEqual([7, 12, 4])
  })
})
