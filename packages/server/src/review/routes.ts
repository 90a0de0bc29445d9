import {
  newReviewItemSchema,
  PlumblineError,
  reviewDraftBodySchema,
  reviewGuidelineSchema,
  reviewItemAddedSchema,
  reviewKeptSchema,
  reviewLeaseBodySchema,
  reviewNextSchema,
  reviewSampledSchema,
  reviewSampleSchema,
  reviewSkippedSchema,
  reviewStatsSchema,
  reviewSubmitBodySchema,
  reviewSubmittedSchema,
} from '@plumbline/contracts'
import { auditEvent, defineRoute, RequestError } from '@plumbline/gateway'
import type { LeaseAnswer, ReviewLease } from '@plumbline/store'
import { z } from 'zod'
import type { MonitoringPlan } from '../monitoring/plan.ts'
import { highStakes, peopleNeeded } from '../stakes.ts'
import { blinded } from './blinded.ts'
import { disagreementOf } from './disagreement.ts'
import { reviewStats } from './stats.ts'

const leaseMs = 10 * 60_000
const scopes = ['reviewer', 'admin'] as const
const params = z.strictObject({ item: z.uuid() })
const refusals = { 404: 'no such lease', 409: 'the lease ran out and another reviewer has the item; the draft is kept' }

export const reviewRoutes = ({ review }: Pick<MonitoringPlan, 'review'>) => [
  defineRoute({
    method: 'GET',
    path: '/api/review/next',
    summary: 'The most urgent answer that waits for this reviewer, leased for ten minutes; null when there is none',
    scopes,
    response: reviewNextSchema,
    async run({ key }, { store }) {
      const found = await store.review.next(key.project, key.id, leaseMs)
      return { item: found === undefined ? null : shown(found, review.disagreement) }
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/review/{item}/draft',
    summary: 'Keep what is written so far and prolong the lease',
    scopes,
    params,
    body: reviewDraftBodySchema,
    maxBodyBytes: 256 * 1024,
    response: reviewKeptSchema,
    refusals,
    async run({ key, params: { item }, body: { lease, draft } }, { store }) {
      const holder = { project: key.project, reviewer: key.id, item, lease }
      return { leased_until: mine(await store.review.keep(holder, draft, leaseMs)) }
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/review/{item}/submit',
    summary: 'Judge the answer',
    scopes,
    params,
    body: reviewSubmitBodySchema,
    maxBodyBytes: 256 * 1024,
    response: reviewSubmittedSchema,
    refusals,
    async run({ key, params: { item }, body: { lease, ...answer } }, { store }) {
      const holder = { project: key.project, reviewer: key.id, item, lease }
      return { state: mine(await store.review.submit(holder, { answer, people: peopleNeeded(answer.category) })) }
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/review/{item}/skip',
    summary: 'Leave it to others',
    scopes,
    params,
    body: reviewLeaseBodySchema,
    response: reviewSkippedSchema,
    refusals,
    async run({ key, params: { item }, body: { lease } }, { store }) {
      mine(await store.review.skip({ project: key.project, reviewer: key.id, item, lease }))
      return { skipped: true }
    },
  }),
  defineRoute({
    method: 'GET',
    path: '/api/review/guideline',
    summary: 'How to judge, in the words of the monitoring file, and which categories need two people',
    scopes,
    response: reviewGuidelineSchema,
    run: async () => ({ guideline: review.guideline ?? null, high_stakes: [...highStakes] }),
  }),
  defineRoute({
    method: 'GET',
    path: '/api/review/stats',
    summary: 'The queue, how far reviewers agree, and of each the pace and the accuracy; a reviewer sees their own',
    scopes,
    response: reviewStatsSchema,
    run: async ({ key }, { store }) =>
      reviewStats(await store.review.figures(key.project), key.scope === 'admin' ? undefined : key.id),
  }),
  defineRoute({
    method: 'POST',
    path: '/api/review/items',
    summary: 'Put an answer before reviewers; with "gold" one whose label is known',
    scopes: ['admin'],
    body: newReviewItemSchema,
    response: reviewItemAddedSchema,
    refusals: { 409: 'the answer is in the sample that measures evaluators, and cannot be gold' },
    async run({ key, body }, { store, now }) {
      const { interaction, reason, priority, category = null, reviewers, gold = null } = body
      const at = new Date(now()).toISOString()
      const people = Math.max(reviewers, peopleNeeded(category))
      const request = { project: key.project, interaction, reason, category, priority, people, gold, at }
      await store
        .audited(auditEvent(key, 'review.add', interaction, at), (inside) => inside.review.enqueue([request]))
        .catch(asConflict)
      return { interaction, queued: true }
    },
  }),
  defineRoute({
    method: 'POST',
    path: '/api/review/sample',
    summary: 'Put some of the latest 10,000 answers before reviewers, by chance',
    scopes: ['admin'],
    body: reviewSampleSchema,
    response: reviewSampledSchema,
    async run({ key, body: { count } }, { store, now }) {
      const at = new Date(now()).toISOString()
      const event = auditEvent(key, 'review.sample', String(count), at)
      return { queued: await store.audited(event, (inside) => inside.review.sample(key.project, { count, at })) }
    },
  }),
]

function shown(lease: ReviewLease, names: readonly string[]) {
  const { leasedUntil, isAdjudication, isBlind, disputed: _, ...rest } = lease
  return {
    ...rest,
    disagreement: disagreementOf(lease, names),
    ...(isBlind ? blinded(lease) : {}),
    leased_until: leasedUntil,
    is_adjudication: isAdjudication,
  }
}

function asConflict(error: unknown): never {
  if (!(error instanceof PlumblineError) || error.code !== 'REVIEW_GOLD_SAMPLED') throw error
  throw new RequestError(409, 'gold_sampled', `${error.message} ${error.hint}`)
}

function mine<T>(answer: LeaseAnswer<T>): T {
  if (answer === 'lost') {
    const message = 'The lease ran out and another reviewer has the item. What you wrote is kept as a draft.'
    throw new RequestError(409, 'lease_lost', message)
  }
  if (answer === 'none') {
    const message =
      'You hold no such item: it was judged or skipped already, or was taken anew in another window. Ask for the next one.'
    throw new RequestError(404, 'no_such_lease', message)
  }
  return answer as T
}
