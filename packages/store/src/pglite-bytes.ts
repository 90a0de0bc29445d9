import { type DescribeQueryResult, type messages, type PGlite, protocol } from '@electric-sql/pglite'
import type { Parameter, Row } from './database.ts'
import { giveBack } from './spool/give-back.ts'

type QueryWithBytes = (sql: string, parameters: readonly Parameter[]) => Promise<Row[]>
type Encoded = string | Uint8Array | null

interface Statement {
  readonly name: string
  /** Types that PGlite does not know have no serializer or parser, whatever its own types say. */
  readonly parameters: readonly Partial<DescribeQueryResult['queryParams'][number]>[]
  readonly columns: readonly (Partial<DescribeQueryResult['resultFields'][number]> & { name: string })[]
}

/** A longer message gets memory of its own, which is not kept. */
const maxKeptBytes = 8 * 2 ** 20
/** All parameters, or columns, are text then. */
const noFormats = 0
const nullLength = -1
const executeAndSync = Buffer.concat([protocol.serialize.execute({}), protocol.serialize.sync()])

/**
 * Statements with bytes among their parameters. PGlite itself copies a parameter five times on its way, each time into new
 * memory: with the bodies of a batch that is so much that V8 collects the whole heap after every other one. Here it is
 * written once, up to 8 MB to where that of the batch before was.
 */
export function createQueryWithBytes(database: PGlite): QueryWithBytes {
  /** By their text. There are few: each stays prepared. */
  const statements = new Map<string, Promise<Statement>>()
  let lastName = 0
  let kept = Buffer.alloc(0)

  const prepare = async (sql: string): Promise<Statement> => {
    const name = `with_bytes_${++lastName}`
    const { queryParams, resultFields } = await database.describeQuery(sql)
    const parse = protocol.serialize.parse({ name, text: sql })
    await database.runExclusive(() => database.execProtocol(Buffer.concat([parse, protocol.serialize.sync()])))
    return { name, parameters: queryParams, columns: resultFields }
  }
  const prepared = (sql: string): Promise<Statement> => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    const statement = prepare(sql)
    statements.set(sql, statement)
    statement.catch(() => statements.delete(sql))
    return statement
  }

  const memory = (size: number): Buffer => {
    if (size > maxKeptBytes) return Buffer.allocUnsafe(size)
    if (size > kept.length) kept = Buffer.allocUnsafe(Math.min(maxKeptBytes, 2 * size))
    return kept.subarray(0, size)
  }

  return async (sql, parameters) => {
    const { name, parameters: types, columns } = await prepared(sql)
    const values = parameters.map((value, i): Encoded => {
      if (value === null || value instanceof Uint8Array) return value
      return types[i].serializer?.(value) ?? String(value)
    })
    const answer = await database.runExclusive(() => {
      const message = writeExecution(name, values, memory)
      // They were handed over: V8 would count them until it collects its whole heap, and begin that for them.
      for (const value of values) if (value instanceof Uint8Array) giveBack(value)
      return database.execProtocol(message)
    })
    return answer.messages
      .filter((message): message is messages.DataRowMessage => message.name === 'dataRow')
      .map(({ fields }) => {
        const cells = fields.map((text, i) => {
          const { name, parser } = columns[i]
          return [name, text === null || parser === undefined ? text : parser(text)]
        })
        return Object.fromEntries(cells)
      })
  }
}

/** Bind, Execute and Sync (PostgreSQL's documentation, "Message Formats"): all values as text. */
function writeExecution(name: string, values: readonly Encoded[], memory: (size: number) => Buffer): Buffer {
  const names = Buffer.from(`\0${name}\0`) // of the portal, which has none, and of the statement
  const lengths = values.map((value) => (value === null ? nullLength : Buffer.byteLength(value)))
  const valueBytes = lengths.reduce((sum, length) => sum + 4 + Math.max(0, length), 0)
  const bindBytes = 4 + names.length + 2 + 2 + valueBytes + 2
  const message = memory(1 + bindBytes + executeAndSync.length)
  let at = message.write('B')
  at = message.writeInt32BE(bindBytes, at)
  at += names.copy(message, at)
  at = message.writeInt16BE(noFormats, at)
  at = message.writeUInt16BE(values.length, at)
  for (const [i, value] of values.entries()) {
    at = message.writeInt32BE(lengths[i], at)
    if (typeof value === 'string') at += message.write(value, at)
    else if (value !== null) {
      message.set(value, at)
      at += value.length
    }
  }
  at = message.writeInt16BE(noFormats, at)
  executeAndSync.copy(message, at)
  return message
}
