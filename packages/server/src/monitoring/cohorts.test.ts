import { type CohortRow, restCohort } from '@plumbline/store'
import { expect, test } from 'vitest'
import { cohortReadings } from './cohorts.ts'

test('a caller who names its cohort like the rest is counted with the rest', () => {
  const row = (cohort: string, judged: number): CohortRow => ({
    ...{ project: 'p', evaluator: 'e', version: '1', day: '2026-01-02', attribute: 'a' },
    ...{ cohort, judged, flagged: 10 },
  })
  const named = Array.from({ length: 25 }, (_, i) => row(`team ${i}`, 100 - i))
  const shown = cohortReadings([row(restCohort, 500), ...named])
  expect(shown.map(({ cohort }) => cohort)).toEqual([...named.slice(0, 20).map(({ cohort }) => cohort), restCohort])
  expect(shown.at(-1)).toMatchObject({ judged: 500 + 80 + 79 + 78 + 77 + 76, flagged: 60 })
})
