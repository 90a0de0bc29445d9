import { PlumblineError } from '@plumbline/contracts'
import { trainerHint } from '../config.ts'

/** Refuses rows without what a trainer needs, naming the one that they fit. */
export function wrongRows(trainer: string, line: number, columns: readonly string[]): PlumblineError {
  return new PlumblineError(
    'DATA_WRONG_KIND',
    `row ${line} has the columns ${columns.join(', ') || '(none)'}, which ${trainer} cannot train on.`,
    { hint: trainerHint(columns) ?? `See ${trainer} --help for the columns.` },
  )
}
