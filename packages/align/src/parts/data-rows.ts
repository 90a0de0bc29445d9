import { PlumblineError } from '@plumbline/contracts'
import { trainerHint } from '../config.ts'
import { type RowName, shownRow } from './row-place.ts'

/** Refuses rows without what a trainer needs, naming the one that they fit. */
export function wrongRows(trainer: string, name: RowName, columns: readonly string[]): PlumblineError {
  return new PlumblineError(
    'DATA_WRONG_KIND',
    `${shownRow(name)}: has the columns ${columns.join(', ') || '(none)'}, which ${trainer} cannot train on.`,
    { hint: trainerHint(columns) ?? `See ${trainer} --help for the columns.` },
  )
}
