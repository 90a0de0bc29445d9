import type { Interaction } from '@plumbline/contracts'
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer'
import type { Write } from '../files.ts'
import { interactionColumns } from './columns.ts'

/** Rows that are held until they are written together: columns compress better, readers skip more. */
const groupRows = 10_000
const groupChars = 32 * 2 ** 20

export interface RecordWriter {
  add(records: readonly Interaction[], chars: number): Promise<void>
  end(): Promise<void>
}

const columns = Object.entries(interactionColumns)

/** Interactions as a Parquet file, group by group. */
export function createParquetWriter(write: Write): RecordWriter {
  const bytes = new ByteWriter()
  const flush = async () => {
    // The writer goes on in the same memory: what is written must be a copy.
    await write(bytes.getBytes().slice())
    bytes.index = 0
  }
  const schema = schemaFromColumnData({ columnData: columns.map(([name, { type }]) => ({ name, type, data: [] })) })
  const parquet = new ParquetWriter({ writer: bytes, schema, createdBy: 'plumbline' })
  let held: Interaction[] = []
  let heldChars = 0
  const writeGroup = async () => {
    const columnData = columns.map(([name, { type, value }]) => ({
      name,
      type,
      data: held.map((record) => value(record) ?? null),
    }))
    await parquet.write({ columnData, rowGroupSize: held.length })
    held = []
    heldChars = 0
    await flush()
  }
  return {
    add: async (records, chars) => {
      held.push(...records)
      heldChars += chars
      if (held.length >= groupRows || heldChars >= groupChars) await writeGroup()
    },
    end: async () => {
      if (held.length > 0) await writeGroup()
      await parquet.finish()
      await flush()
    },
  }
}
