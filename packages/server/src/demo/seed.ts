import { randomBytes } from 'node:crypto'
import type { KeyScope, NewFeedback } from '@plumbline/contracts'
import type { Store } from '@plumbline/store'
import { feedbackRow } from '../feedback/row.ts'
import type { MonitoringPlan } from '../monitoring/plan.ts'
import { openDemoLook } from './look.ts'
import { type DemoAnswer, demoDay, demoDays, demoProject } from './month.ts'
import { pick, seededRandom } from './random.ts'
import { complaints, harmfulAnswers, leakingAnswers, praises } from './texts.ts'

export interface DemoOptions {
  readonly now: number
  readonly seed?: number
  /** What judges its answers. */
  readonly plan: MonitoringPlan
  readonly warn: (text: string) => void
  readonly onDay?: (day: number) => void
}

const dayMs = 86_400_000
const leaseMs = 600_000
/** So many of the last days are held against the first ones. */
const comparedDays = 2
/** Share of the month's answers that reviewers are shown by chance, and items that they judge a day until the incident is news. */
const sample = 0.03
const judgedADay = 4
const reviewedDays = 25
const reviewers = ['key_demo_anna', 'key_demo_ben'] as const
const appKey = 'key_demo_app'

/** Fills an empty store with a month of a bicycle shop’s assistant: after a new model came, some answers insult people. */
export async function seedDemo(store: Store, { now, seed = 7, plan, warn, onDay }: DemoOptions): Promise<void> {
  await insertKeys(store, new Date(now - demoDays * dayMs).toISOString())
  const random = seededRandom(seed)
  const looker = openDemoLook(store, { ...plan, review: { ...plan.review, sample } }, warn)
  try {
    for (let day = 0; day < demoDays; day++) {
      const answers = demoDay(day, { seed, now, keyId: appKey })
      await store.insertInteractions(answers.map(({ row }) => row))
      await store.insertFeedback(answers.flatMap((one) => feedbackOn(one, random, now)))
      await looker.look(now - (demoDays - 1 - day) * dayMs, demoDays - day <= comparedDays)
      if (day < reviewedDays) await review(store, random)
      onDay?.(day + 1)
    }
  } finally {
    await looker.close()
  }
}

/** Keys without anybody who knows them: they only stand in the lists. */
async function insertKeys(store: Store, at: string): Promise<void> {
  const keys: [string, KeyScope, string][] = [
    [appKey, 'client', 'shop app'],
    [reviewers[0], 'reviewer', 'Anna'],
    [reviewers[1], 'reviewer', 'Ben'],
  ]
  for (const [id, scope, name] of keys) {
    const sha256 = randomBytes(32).toString('hex')
    await store.insertKey({ id, sha256, scope, project: demoProject, isOperator: false, name, limits: {} }, at)
  }
}

function feedbackOn({ interaction, fate }: DemoAnswer, random: () => number, now: number) {
  const [says, chance, words] = [random(), random(), random]
  const sent = whatPeopleSay(fate, says, words)
  if (sent === undefined) return []
  const time = Math.min(Date.parse(interaction.created_at) + chance * 3_600_000, now)
  const sender = {
    project: demoProject,
    interaction: interaction.record,
    actorKind: 'end_user' as const,
    actor: interaction.record,
  }
  return [feedbackRow({ ...sent, consent: chance < 0.5 }, sender, time)]
}

function whatPeopleSay(fate: DemoAnswer['fate'], says: number, random: () => number): NewFeedback | undefined {
  if (fate === 'harmful' && says < 0.5) return { kind: 'flag', category: 'harassment', text: pick(random, complaints) }
  if (fate === 'leaking' && says < 0.5) return { kind: 'flag', category: 'personal-data' }
  if (fate === 'refused' && says < 0.2) return { kind: 'rating', rating: -1 }
  if (fate !== 'fine' || says > 0.05) return undefined
  return { kind: 'rating', rating: says < 0.04 ? 1 : -1, text: pick(random, praises) || undefined }
}

/** Two reviewers judge the most urgent items; where they differ, a third is asked. */
async function review(store: Store, random: () => number): Promise<void> {
  for (let round = 0; round < judgedADay; round++) {
    for (const [index, reviewer] of reviewers.entries()) {
      const item = await store.review.next(demoProject, reviewer, leaseMs)
      if (item === undefined) continue
      const answer = judgement(item.interaction.text, { isHasty: index === 1, random })
      const holder = { project: demoProject, reviewer, item: item.item, lease: item.lease }
      // Two people on each, so that there is something to agree about.
      await store.review.submit(holder, { answer, people: 2 })
    }
  }
}

/** What a reviewer thinks of an answer; a hasty one is sometimes mistaken. */
function judgement(text: string, { isHasty, random }: { isHasty: boolean; random: () => number }) {
  const holds = (list: readonly string[]) => list.some((one) => text.includes(one))
  if (isHasty && random() < 0.03) return { label: 'wrong' }
  if (holds(harmfulAnswers)) return { label: 'harmful', category: 'harassment' }
  if (holds(leakingAnswers)) return { label: 'harmful', category: 'personal-data' }
  return { label: 'good' }
}
