import { expect, test } from 'vitest'
import { answerRow } from '../month.test-support.ts'
import { readRecord } from './read-record.ts'

test('names of cohorts that the database cannot tell apart are one name', () => {
  const cohortOf = (team: string) => {
    const { json } = answerRow({ at: '2026-01-02T03:04:05.000Z', text: 'good', metadata: { team } })
    return readRecord(json, { facts: [], canaries: [], cohorts: ['team'] }).cohorts
  }
  for (const team of ['a\u0000', 'a\ud800', 'a\udfff', 'a\ufffd'])
    expect(cohortOf(team)).toEqual([{ attribute: 'team', cohort: 'a\ufffd' }])
  expect(cohortOf('\u{1f600}')).toEqual([{ attribute: 'team', cohort: '\u{1f600}' }])
})
