import { PlumblineError } from '@plumbline/contracts'

/** What a data file is for, told by its columns. */
function trainerFor(columns: readonly string[]): string {
  if (columns.includes('chosen') && columns.includes('rejected')) return 'plumb reward'
  if (columns.includes('messages') || columns.includes('completion') || columns.includes('text')) return 'plumb sft'
  return columns.includes('prompt') ? 'plumb ppo' : 'no trainer'
}

/** Refuses rows without what a trainer needs, naming the one that they fit. */
export function wrongRows(trainer: string, line: number, columns: readonly string[]): PlumblineError {
  const fits = trainerFor(columns)
  return new PlumblineError(
    'DATA_WRONG_KIND',
    `row ${line} has the columns ${columns.join(', ') || '(none)'}, which ${trainer} cannot train on.`,
    { hint: fits === 'no trainer' ? `See ${trainer} --help for the columns.` : `These columns are for ${fits}.` },
  )
}
