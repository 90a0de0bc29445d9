import { PlumblineError } from '@plumbline/contracts'

/** A number for each token, a row for each sequence; rows differ in length. */
export type Rows = readonly ArrayLike<number>[]

/** Throws SHAPE_MISMATCH unless each of the named rows has one row for each length, and at least that many numbers. */
export function checkRows(where: string, lengths: readonly number[], named: Readonly<Record<string, Rows>>): void {
  for (const [name, rows] of Object.entries(named)) {
    if (rows.length !== lengths.length)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `${where}: ${name} has ${rows.length} rows, there are ${lengths.length} sequences.`,
      )
    const short = rows.findIndex((row, i) => !(row.length >= lengths[i]))
    if (short >= 0)
      throw new PlumblineError(
        'SHAPE_MISMATCH',
        `${where}: row ${short} of ${name} has ${rows[short].length} numbers for ${lengths[short]} tokens.`,
      )
  }
}
