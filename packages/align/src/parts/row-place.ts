/** What messages call a row: its number from 1, or its file and line. */
export type RowName = number | string

const PLACE = Symbol('place')

/** Notes on a row where it was read. Nothing that writes, compares or hashes the row sees it. */
export function placeRow<Row extends object>(row: Row, place: string): Row {
  return Object.defineProperty(row, PLACE, { value: place })
}

/** Where a row was read, or its number when it was made in a program. */
export function rowName(row: object, index: number): RowName {
  return (row as { [PLACE]?: string })[PLACE] ?? index + 1
}

/** `row 3`, or `rows.jsonl:3`. */
export function shownRow(name: RowName): string {
  return typeof name === 'number' ? `row ${name}` : name
}
