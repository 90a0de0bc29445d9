import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import type { Erasure } from './erasure.ts'
import { feedbackRow } from './feedback/feedback-row.test-support.ts'
import { recordRow } from './record-row.test-support.ts'
import type { Holder } from './review/places.ts'
import type { Store } from './store.ts'
import { describeStores } from './stores.test-support.ts'

/** Calls that try to reach another project. CI makes 2,000 on each database; PLUMBLINE_TENANT_CALLS asks for more. */
const calls = Number(process.env.PLUMBLINE_TENANT_CALLS ?? 2_000)
const projects = ['alpha', 'beta', 'gamma', "alpha' or 'a' = 'a", 'alpha%', '']
const recordsEach = 20
const at = '2026-01-01T00:00:00.000Z'
const range = { from: '2025-01-01', to: '2027-01-01' }
const hourMs = 3_600_000

interface Tenant {
  /** Stands in all that is the project's. */
  readonly mark: string
  readonly records: string[]
  readonly ids: string[]
  readonly subject: string
  readonly key: string
  readonly job: string
  readonly alarm: string
  /** A reviewer's place in the queue. */
  readonly held: Omit<Holder, 'project'>
}

/** What is asked of `project` about something of another one. */
interface Attempt {
  readonly project: string
  readonly other: Tenant
  readonly index: number
  readonly limit: number
  readonly after: string | undefined
  readonly mode: Erasure['mode']
}

const attempts: Record<string, (store: Store, attempt: Attempt) => Promise<unknown>> = {
  list: (store, { project, limit, after }) => store.listInteractions(project, { limit, after }),
  listBySubject: (store, { project, other, limit }) =>
    store.listInteractions(project, { limit, subject: other.subject }),
  listByKey: (store, { project, other, limit }) => store.listInteractions(project, { limit, key: other.key }),
  listByText: (store, { project, other, limit, index }) =>
    store.listInteractions(project, { limit, text: other.records[index] }),
  findByRecord: (store, { project, other, index }) => store.findInteraction(project, other.records[index]),
  findById: (store, { project, other, index }) => store.findInteraction(project, other.ids[index]),
  findJob: (store, { project, other }) => store.jobs.find(project, other.job),
  audit: (store, { project, limit, after }) => store.audit.list(project, { limit, after }),
  keys: (store, { project, limit }) => store.listKeyFacts(project, { limit }),
  revoke: (store, { project, other }) => store.revokeKey(other.key, project, at),
  listFeedback: (store, { project, limit, after }) => store.listFeedback(project, { limit, after }),
  feedbackOfRecord: (store, { project, other, index }) =>
    store.listFeedback(project, { limit: 9, interaction: other.ids[index] }),
  reviewNext: (store, { project }) => store.review.next(project, 'prober', hourMs),
  reviewKeep: (store, { project, other }) => store.review.keep({ project, ...other.held }, { label: 'x' }, hourMs),
  reviewSkip: (store, { project, other }) => store.review.skip({ project, ...other.held }),
  reviewSubmit: (store, { project, other }) =>
    store.review.submit({ project, ...other.held }, { answer: { label: 'x' }, people: 1 }),
  sampleLabels: (store, { project }) => store.review.sampleLabels(project),
  reviewFigures: (store, { project }) => store.review.figures(project),
  reviewSample: async (store, { project }) => {
    const count = await store.review.sample(project, { count: 1, at })
    // Answers of its own are its own matter; those of others would come before its reviewers.
    return projects.includes(project) ? undefined : count
  },
  said: (store, { project, other, index }) => store.monitoring.said(project, other.ids[index]),
  saidOfRecord: (store, { project, other, index }) => store.monitoring.said(project, other.records[index]),
  findEvaluations: (store, { project, other, limit }) =>
    store.monitoring.findEvaluations(
      { project, evaluator: other.mark, version: '1' },
      { outcome: 'flagged', until: '2027-01-01T00:00:00.000Z', limit },
    ),
  detectors: (store, { project }) => store.monitoring.detectors(project),
  pairs: (store, { project }) => store.monitoring.pairs({ project, ...range }),
  alarms: (store, { project, limit, after }) => store.monitoring.listAlarms(project, { limit, after }),
  findAlarm: (store, { project, other }) => store.monitoring.findAlarm(project, other.alarm),
  closeAlarm: (store, { project, other }) => store.monitoring.closeAlarm(project, { id: other.alarm, by: 'x', at }),
  notifications: (store, { project, other }) => store.monitoring.notifications(project, other.alarm),
  drift: (store, { project }) => store.monitoring.sums({ project, ...range }),
  sampleAnswers: (store, { project, limit }) => store.monitoring.sampleAnswers({ project, ...range }, limit),
  export: async (store, { project }) => {
    const lines: string[] = []
    const write = async (bytes: string | Uint8Array) => void lines.push(String(bytes))
    await store.exportInteractions(write, { format: 'jsonl', project })
    return lines
  },
  exportTraining: async (store, { project }) => {
    const lines: string[] = []
    const write = async (bytes: string | Uint8Array) => void lines.push(String(bytes))
    await store.exportTraining(write, { kind: 'demonstrations', consent: 'project', project })
    return lines
  },
  eraseSubject: (store, { project, other, mode }) =>
    store.erase({ project, target: other.subject, kind: 'subject', mode, at: '2027-01-01T00:00:00.000Z' }),
  eraseRecord: (store, { project, other, mode, index }) =>
    store.erase({ project, target: other.records[index], kind: 'record', mode, at: '2027-01-01T00:00:00.000Z' }),
}

/** Calls that no project makes for itself: of the store's own work, or told by what they are given whose it is. */
const ofNoProject = [
  ...['audited', 'backup', 'close', 'countGaps', 'subjectHasher', 'vacuum'],
  ...['insertFeedback', 'insertGaps', 'insertInteractions', 'insertKey', 'insertSecret', 'listKeys', 'listSecrets'],
  ...['audit.append', 'audit.verify', 'noteErasure', 'retain', 'review.enqueue'],
  ...['jobs.complete', 'jobs.enqueue', 'jobs.fail', 'jobs.heartbeat', 'jobs.lease', 'jobs.release', 'jobs.schedule'],
  ...['monitoring.answerDays', 'monitoring.asked', 'monitoring.begin', 'monitoring.forget', 'monitoring.keepLook'],
  ...['monitoring.pending', 'monitoring.readBodies', 'monitoring.settle', 'monitoring.settlePairs', 'monitoring.take'],
  ...['monitoring.verdicts', 'sessions.find', 'sessions.insert', 'sessions.remove'],
]

function methodsOf(value: object): string[] {
  return Object.entries(value).flatMap(([name, one]) =>
    typeof one === 'function' ? [name] : methodsOf(one).map((inner) => `${name}.${inner}`),
  )
}

/** An answer of the sample with a verdict, settled, which a detector watches. */
async function judgeOne(store: Store, project: string, { record, evaluator }: { record: string; evaluator: string }) {
  const about = { project, interaction: record, reason: 'random', category: null, priority: 65, people: 1 } as const
  await store.review.enqueue([{ ...about, gold: null, probability: 0.5, at }])
  const { item, lease } = (await store.review.next(project, 'judge', hourMs))!
  await store.review.submit({ project, reviewer: 'judge', item, lease }, { answer: { label: evaluator }, people: 1 })
  const watched = { project, evaluator, version: '1', state: evaluator }
  const found = { project, record, recordAt: at, evaluator, version: '1', outcome: 'flagged', label: null } as const
  await store.monitoring.settle((await store.monitoring.take(project, 1))!, {
    evaluations: [{ ...found, category: null, score: null, error: null, probability: 0.5 }],
    ...{ traffic: [], rates: [], cohorts: [], marks: [], review: [], reviewMore: () => [], reviewSample: () => [] },
    ...{ reviewsPerDay: 0, detectors: [], decide: () => ({ detectors: [watched], alarms: [] }), notify: [], at },
  })
  const pair = { axis: evaluator, swaps: '1', first: 'flagged', second: 'passed', isFirstOriginal: true } as const
  await store.monitoring.settlePairs((await store.monitoring.take(`pairs of ${project}`, 1))!, {
    pairs: [{ project, record, recordAt: at, evaluator, version: '1', ...pair, error: null, probability: 0.5 }],
    days: [],
    at,
  })
  expect((await store.review.sampleLabels(project)).verdicts).toMatchObject([{ evaluator }])
}

describeStores('tenants', (suite) => {
  let store: Store
  const tenants = new Map<string, Tenant>()
  beforeAll(async () => {
    store = suite.store()
    for (const [number, project] of projects.entries()) {
      const [subject, key] = [`subject-of-${number}`, `key_of_${number}`]
      const mark = `mark-${number}-`
      const rows = Array.from({ length: recordsEach }, () => {
        const [record, id] = [randomUUID(), `${mark}${randomUUID()}`]
        const request = { prompt: `${mark}${id}` }
        const json = JSON.stringify({ record, id, created_at: at, text: mark, choices: [{ text: mark }], request })
        return recordRow({ record, id, project, createdAt: at, keyId: key, subjects: [subject], json })
      })
      await store.insertInteractions(rows)
      const stored = {
        id: key,
        sha256: `hash ${number}`,
        scope: 'admin',
        project,
        isOperator: false,
        name: mark,
        limits: {},
      } as const
      await store.audited({ actor: key, action: 'key.create', project, target: mark, outcome: 'done', at }, (inside) =>
        inside.insertKey(stored, at),
      )
      const said = rows.map(({ id }) => feedbackRow({ project, interaction: id, rating: 1, text: mark }))
      await store.insertFeedback(said)
      await judgeOne(store, project, { record: rows[0].record, evaluator: mark })
      const asked = { project, reason: 'flag', category: null, priority: 50, people: 1, gold: null, at } as const
      await store.review.enqueue(rows.slice(1, 3).map(({ id }) => ({ ...asked, interaction: id })))
      const { item, lease } = (await store.review.next(project, 'holder', hourMs))!
      const rung = { project, kind: 'drift', subject: '', version: null, summary: mark, evidence: mark } as const
      const day = at.slice(0, 10)
      await store.monitoring.keepLook({ project, day, report: mark, alarm: rung, notify: [mark], at })
      const { id: alarm } = (await store.monitoring.listAlarms(project, { limit: 1 })).data[0]
      const { id: job } = await store.jobs.enqueue({ kind: 'none', project, payload: mark })
      tenants.set(project, {
        mark,
        records: rows.map(({ record }) => record),
        ids: rows.map(({ id }) => id),
        subject,
        key,
        job,
        alarm,
        held: { reviewer: 'holder', item, lease },
      })
    }
  })

  test('each method is tried across projects, or is of none', () => {
    const tried = Object.values(attempts).map(String).join()
    const isTried = (method: string) => tried.includes(`store.${method}(`)
    const methods = methodsOf(store)
    expect(methods.filter((method) => !isTried(method)).sort()).toEqual(ofNoProject.toSorted())
  })

  test(`${calls} calls across projects find and change nothing`, { timeout: 60_000 + calls * 50 }, async () => {
    const attempt = fc.record({
      name: fc.constantFrom(...Object.keys(attempts)),
      project: fc.constantFrom(...projects, 'unknown', 'ALPHA'),
      other: fc.constantFrom(...projects),
      index: fc.nat(recordsEach - 1),
      limit: fc.integer({ min: 1, max: 50 }),
      after: fc.option(fc.integer({ min: 1, max: 500 }).map(String), { nil: undefined }),
      mode: fc.constantFrom('delete' as const, 'redact' as const),
    })
    const across = attempt.filter(({ project, other }) => project !== other)
    await fc.assert(
      fc.asyncProperty(across, async ({ name, other, ...rest }) => {
        const result = await attempts[name](store, { ...rest, other: tenants.get(other)! })
        const own = projects.indexOf(rest.project)
        const marks = JSON.stringify(result ?? null).match(/mark-\d+-/g) ?? []
        expect(marks.filter((mark) => mark !== `mark-${own}-`)).toEqual([])
        if (typeof result === 'number') expect(result).toBe(0)
        if (typeof result === 'boolean') expect(result).toBe(false)
        if (typeof result === 'string') expect(result).toBe('none')
      }),
      { numRuns: calls },
    )
    for (const project of projects) {
      const { data } = await store.listInteractions(project, { limit: 100 })
      expect(data.map(({ text }) => text)).toEqual(Array(recordsEach).fill(`mark-${projects.indexOf(project)}-`))
      expect((await store.listKeyFacts(project, { limit: 9 })).data).toMatchObject([{ revokedAt: null }])
      expect((await store.monitoring.listAlarms(project, { limit: 9 })).data).toMatchObject([{ state: 'open' }])
      expect((await store.listFeedback(project, { limit: 100 })).data).toHaveLength(recordsEach)
      // There is something to find in each, by those who may.
      const mark = `mark-${projects.indexOf(project)}-`
      const key = { project, evaluator: mark, version: '1' }
      expect(String(await attempts.exportTraining(store, { project } as Attempt))).toContain(mark)
      expect(await store.monitoring.detectors(project)).toMatchObject([{ state: mark }])
      expect((await store.monitoring.pairs({ project, ...range })).sums).toMatchObject([{ evaluator: mark }])
      const until = '2027-01-01T00:00:00.000Z'
      expect(await store.monitoring.findEvaluations(key, { outcome: 'flagged', until, limit: 9 })).toHaveLength(1)
      expect(await store.monitoring.said(project, tenants.get(project)!.records[0])).toMatchObject({
        evaluations: [{ evaluator: mark }],
      })
      expect(await store.review.keep({ project, ...tenants.get(project)!.held }, {}, hourMs)).not.toMatch(/none|lost/)
    }
  })
})
