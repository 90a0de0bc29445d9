import { expect, onTestFinished, test } from 'vitest'
import { openPostgres } from './postgres.ts'
import { noPostgres, startPostgres } from './postgres-server.test-support.ts'

const missing = await noPostgres()

test.skipIf(missing !== undefined)(
  `a connection that the server ends between two statements fails its transaction and nothing else${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  { timeout: 120_000 },
  async () => {
    const server = await startPostgres()
    const database = openPostgres(server.url)
    const faults: unknown[] = []
    const note = (error: unknown) => void faults.push(error)
    process.on('uncaughtException', note)
    onTestFinished(() => void process.off('uncaughtException', note))
    const done = database.transaction(async (queries) => {
      const [{ pid }] = await queries.query('select pg_backend_pid() as pid')
      await database.query('select pg_terminate_backend($1)', [Number(pid)])
      // Gone once the server no longer lists it; what it said of that has been read when the next answer is.
      const left = () => database.query('select 1 from pg_stat_activity where pid = $1', [Number(pid)])
      while ((await left()).length > 0);
      await database.query('select 1')
      await queries.query('select 1')
    })
    await expect(done).rejects.toThrow()
    expect(await database.query('select 1 as one')).toEqual([{ one: 1 }])
    expect(faults).toEqual([])
    await database.close()
    await server.remove()
  },
)
