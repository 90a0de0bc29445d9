import type { Queries } from '../database.ts'

/** A table as the database itself describes it: names and types in statements come from here, never from a file. */
export interface Table {
  readonly name: string
  readonly columns: readonly Column[]
}

interface Column {
  readonly name: string
  readonly type: string
  readonly isIdentity: boolean
}

/** How the tables came to be is told in a backup's head instead. */
const leftOut = 'migrations'

export async function readTables(queries: Queries): Promise<Table[]> {
  const rows = await queries.query(
    `select table_name::text as table_name, column_name::text as column_name, udt_name::text as type, is_identity = 'YES' as is_identity
    from information_schema.columns where table_schema = 'plumbline' and table_name <> $1
    order by table_name, ordinal_position`,
    [leftOut],
  )
  const byName = Map.groupBy(rows, ({ table_name }) => String(table_name))
  return [...byName].map(([name, columns]) => ({
    name,
    columns: columns.map((column) => ({
      name: String(column.column_name),
      type: String(column.type),
      isIdentity: column.is_identity === true,
    })),
  }))
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
