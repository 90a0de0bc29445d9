import type { Alarm } from '@plumbline/contracts'
import type { Database } from '../database.ts'
import type { Page, PageOptions } from '../interactions.ts'
import { closeAlarm, findAlarm, listAlarms, listNotifications, type Notification, type StoredAlarm } from './alarms.ts'
import { type AnswerDay, answerDays, type KeptLook, keepLook, sampleAnswers } from './drift.ts'
import {
  countPending,
  type DayRange,
  type FoundEvaluation,
  findEvaluations,
  listDetectors,
  type MonitorSums,
  readSums,
} from './figures.ts'
import { countAsked, type PairSettlement, type PairSums, readPairs, settlePairs } from './pairs.ts'
import { readSaid, type SaidOfAnswer } from './said.ts'
import { type DetectorKey, type Settlement, type StoredDetector, settle } from './settle.ts'
import { begin, forget, readBodies, type Taken, take } from './take.ts'
import { readVerdicts, type Verdict } from './verdicts.ts'

/** What came of looking at records: evaluations, sums by day, detectors, alarms. Which it is, others decide. */
export interface Monitoring {
  /** Gives a lane that was never there its place: after the last record. Taken without, it begins at the first. */
  begin(lane: string): Promise<void>
  /** Takes a lane's place away: it begins anew. */
  forget(lane: string): Promise<void>
  /** The next records that nobody in this lane has looked at. */
  take(lane: string, most: number): Promise<Taken | undefined>
  readBodies(records: readonly string[]): Promise<{ record: string; body: string }[]>
  /** Writes what came of them, once. False when another worker was first. */
  settle(taken: Taken, settlement: Settlement): Promise<boolean>
  /** The same of pairs of prompts. */
  settlePairs(taken: Taken, settlement: PairSettlement): Promise<boolean>
  /** Prompts that were asked about in the minute before a time, and on its day. */
  asked(at: string): Promise<{ readonly minute: number; readonly day: number }>
  pairs(range: DayRange): Promise<PairSums>
  sums(range: DayRange): Promise<MonitorSums>
  pending(lane: string): Promise<number>
  findEvaluations(
    key: DetectorKey,
    options: { readonly outcome: 'flagged' | 'error'; readonly until: string; readonly limit: number },
  ): Promise<FoundEvaluation[]>
  /** What evaluators say of one answer, by the id of its record or its own. */
  said(project: string, id: string): Promise<SaidOfAnswer | undefined>
  /** All verdicts on these records. */
  verdicts(records: readonly string[]): Promise<Verdict[]>
  detectors(project: string): Promise<StoredDetector[]>
  /** Days with answers before a day, of all projects. */
  answerDays(before: string): Promise<AnswerDay[]>
  /** Some records of these days without their requests, few and short enough to be held at once. */
  sampleAnswers(range: DayRange, most: number): Promise<{ record: string; body: string }[]>
  /** Keeps a look for drift, once for each day. */
  keepLook(look: KeptLook): Promise<boolean>
  listAlarms(
    project: string,
    options: PageOptions & { readonly state?: Alarm['state'] | undefined },
  ): Promise<Page<Alarm>>
  findAlarm(project: string, id: string): Promise<StoredAlarm | undefined>
  closeAlarm(
    project: string,
    alarm: { readonly id: string; readonly by: string; readonly at: string },
  ): Promise<boolean>
  notifications(project: string, alarm: string): Promise<Notification[]>
}

export function createMonitoring(database: Database): Monitoring {
  return {
    begin: (lane) => begin(database, lane),
    forget: (lane) => forget(database, lane),
    take: (lane, most) => take(database, lane, most),
    readBodies: (records) => readBodies(database, records),
    settle: (taken, settlement) => settle(database, taken, settlement),
    settlePairs: (taken, settlement) => settlePairs(database, taken, settlement),
    asked: (at) => countAsked(database, at),
    pairs: (range) => readPairs(database, range),
    sums: (range) => readSums(database, range),
    pending: (lane) => countPending(database, lane),
    findEvaluations: (key, options) => findEvaluations(database, key, options),
    said: (project, id) => readSaid(database, project, id),
    verdicts: (records) => readVerdicts(database, records),
    detectors: (project) => listDetectors(database, project),
    answerDays: (before) => answerDays(database, before),
    sampleAnswers: (range, most) => sampleAnswers(database, range, most),
    keepLook: (look) => keepLook(database, look),
    listAlarms: (project, options) => listAlarms(database, project, options),
    findAlarm: (project, id) => findAlarm(database, project, id),
    closeAlarm: (project, alarm) => closeAlarm(database, project, alarm),
    notifications: (project, alarm) => listNotifications(database, project, alarm),
  }
}
