import { type DescribeQueryResult, type messages, type PGlite, protocol } from '@electric-sql/pglite'
import type { Parameter, Row } from './database.ts'

type QueryWithBytes = (sql: string, parameters: readonly Parameter[]) => Promise<Row[]>
type Encoded = string | Uint8Array | null

interface Statement {
  readonly name: string
  readonly parameters: DescribeQueryResult['queryParams']
  readonly columns: DescribeQueryResult['resultFields']
}

/** A longer message gets memory of its own, which is not kept. */
const maxKeptBytes = 8 * 2 ** 20
const asText = 0
const nullLength = -1

/**
 * Statements with bytes among their parameters. PGlite itself copies a parameter five times on its way, each time into new
 * memory: with the bodies of a batch that is so much that V8 collects the whole heap after every other one. Here it is
 * written once, to where that of the batch before was.
 */
export function createQueryWithBytes(database: PGlite): QueryWithBytes {
  /** By their text. There are few: each stays prepared. */
  const statements = new Map<string, Statement>()
  let kept = Buffer.alloc(0)

  const prepare = async (sql: string): Promise<Statement> => {
    const { queryParams, resultFields } = await database.describeQuery(sql)
    const statement = { name: `with_bytes_${statements.size}`, parameters: queryParams, columns: resultFields }
    const parse = protocol.serialize.parse({ name: statement.name, text: sql })
    await database.runExclusive(() => database.execProtocol(Buffer.concat([parse, protocol.serialize.sync()])))
    statements.set(sql, statement)
    return statement
  }

  const memory = (size: number): Buffer => {
    if (size > maxKeptBytes) return Buffer.allocUnsafe(size)
    if (size > kept.length) kept = Buffer.allocUnsafe(Math.min(maxKeptBytes, 2 * size))
    return kept.subarray(0, size)
  }

  return async (sql, parameters) => {
    const { name, parameters: types, columns } = statements.get(sql) ?? (await prepare(sql))
    const values = parameters.map((value, i): Encoded => {
      if (value === null || value instanceof Uint8Array) return value
      return types[i].serializer(value)
    })
    const answer = await database.runExclusive(() => database.execProtocol(writeExecution(name, values, memory)))
    return answer.messages
      .filter((message): message is messages.DataRowMessage => message.name === 'dataRow')
      .map(({ fields }) => {
        const cells = fields.map((text, i) => [columns[i].name, text === null ? null : columns[i].parser(text)])
        return Object.fromEntries(cells)
      })
  }
}

/** Bind, Execute and Sync (PostgreSQL's documentation, "Message Formats"): all values as text. */
function writeExecution(name: string, values: readonly Encoded[], memory: (size: number) => Buffer): Buffer {
  const end = Buffer.concat([protocol.serialize.execute({}), protocol.serialize.sync()])
  const names = Buffer.from(`\0${name}\0`) // of the portal, which has none, and of the statement
  const lengths = values.map((value) => (value === null ? nullLength : Buffer.byteLength(value)))
  const valueBytes = lengths.reduce((sum, length) => sum + 4 + Math.max(0, length), 0)
  const bindBytes = 4 + names.length + 2 + 2 + valueBytes + 2
  const message = memory(1 + bindBytes + end.length)
  let at = message.write('B')
  at = message.writeInt32BE(bindBytes, at)
  at += names.copy(message, at)
  at = message.writeInt16BE(asText, at)
  at = message.writeUInt16BE(values.length, at)
  for (const [i, value] of values.entries()) {
    at = message.writeInt32BE(lengths[i], at)
    if (typeof value === 'string') at += message.write(value, at)
    else if (value !== null) {
      message.set(value, at)
      at += value.length
    }
  }
  at = message.writeInt16BE(asText, at)
  end.copy(message, at)
  return message
}
