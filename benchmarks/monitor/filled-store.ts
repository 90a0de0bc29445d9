import { randomUUID } from 'node:crypto'
import { evaluators } from '@plumbline/evals'
import { openStore, type RecordRow, recordFacts, type Store } from '@plumbline/store'

/** Of the worker that would judge the records: it finds nothing left to do. */
const lane = 'records'
const project = 'default'
const names = ['harm', 'toxicity', 'refusal', 'personal-data'] as const
const days = 30
const dayMs = 86_400_000
const batchRows = 2_000
/** Of so many answers one is flagged. */
const flaggedOneIn = 50

/**
 * A store with so many answers over the last 30 days and what four evaluators said of every one. The verdicts are made up:
 * judging a million texts would take hours, and what the pages read is the same.
 */
export async function fillStore(folder: string, size: number, log: (text: string) => void): Promise<void> {
  const store = await openStore({ folder })
  try {
    const start = Date.now() - days * dayMs
    for (let done = 0; done < size; done += batchRows) {
      const count = Math.min(batchRows, size - done)
      await store.insertInteractions(
        Array.from({ length: count }, (_, i) => answerRow(done + i, start + ((done + i) / size) * days * dayMs)),
      )
      await judge(store)
      if (done % (batchRows * 25) === 0) log(`  ${done + count} of ${size} records are in the store`)
    }
  } finally {
    await store.close()
  }
}

function answerRow(index: number, time: number): RecordRow {
  const record = randomUUID()
  const text = `Answer number ${index}: change the pads, clean the rotor and bed them in.`
  const createdAt = new Date(time).toISOString()
  const model = 'bench-model'
  const interaction = {
    id: `chatcmpl-${record}`,
    record,
    project,
    key_id: null,
    created_at: createdAt,
    endpoint: '/v1/chat/completions',
    upstream: 'http://127.0.0.1:9',
    config: 'bench',
    upstream_request_id: null,
    request_model: model,
    model,
    stream: false,
    status: 200,
    termination: 'completed',
    subjects: [],
    redaction: null,
    text,
    choices: [{ index: 0, text, reasoning: '', refusal: '', tool_calls: [], finish_reason: 'stop' }],
    usage: null,
    error: null,
    timings: { headers_ms: 10, first_token_ms: 12, total_ms: 400 },
    guards: [],
    request_bytes: 120,
    response_bytes: 300,
    notes: [],
    request: { model, messages: [{ role: 'user', content: `Question ${index}: why do my brakes squeal?` }] },
  }
  const json = JSON.stringify(interaction)
  return {
    record,
    id: interaction.id,
    project,
    createdAt,
    keyId: null,
    model,
    termination: 'completed',
    subjects: [],
    ...recordFacts(interaction),
    json,
  }
}

/** Looks at what has come as the worker does, with verdicts by count. */
async function judge({ monitoring }: Store): Promise<void> {
  const taken = await monitoring.take(lane, batchRows)
  if (taken === undefined) return
  const byDay = Map.groupBy(taken.heads, ({ at }) => at.slice(0, 10))
  const counted = [...byDay].map(([day, { length }]) => ({ day, length }))
  await monitoring.settle(taken, {
    evaluations: taken.heads.flatMap(({ record, at }, index) =>
      names.map((evaluator) => ({
        ...{ project, record, recordAt: at, evaluator, version: evaluators[evaluator].version },
        outcome: index % flaggedOneIn === 0 ? ('flagged' as const) : ('passed' as const),
        ...{ label: null, category: null, score: null, error: null, probability: 1 },
      })),
    ),
    traffic: counted.map(({ day, length }) => ({
      ...{ project, lane, day, probability: 1, answers: length, failed: 0, sampled: length, evaluated: length },
    })),
    rates: counted.flatMap(({ day, length }) =>
      names.map((evaluator) => ({
        ...{ project, evaluator, version: evaluators[evaluator].version, day, probability: 1, lane },
        ...{ judged: length, flagged: Math.ceil(length / flaggedOneIn), setAside: 0, errors: 0 },
      })),
    ),
    cohorts: [],
    marks: [{ project, kind: 'model', name: 'bench-model', at: taken.heads[0].at }],
    review: [],
    reviewSample: () => [],
    reviewMore: () => [],
    reviewsPerDay: 0,
    detectors: [],
    decide: () => ({ detectors: [], alarms: [] }),
    notify: [],
    at: new Date().toISOString(),
  })
}
