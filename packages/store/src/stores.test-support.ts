import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { openPostgres } from './postgres.ts'
import { noPostgres, type PostgresServer, startPostgres } from './postgres-server.test-support.ts'
import { startStoreProcess } from './process/store-process.ts'
import { createStore, type Store } from './store.ts'

/** What a test of a store is given; the store is there when the tests run. */
export interface StoreSuite {
  readonly name: 'PGlite' | 'PostgreSQL'
  database(): Database
  store(): Store
  /** Another connection to the same PostgreSQL; another, empty PGlite. */
  open(): Promise<Database>
}

const missingPostgres = await noPostgres()

/** The same tests over every kind of database that a store can stand on. */
export function describeStores(title: string, tests: (suite: StoreSuite) => void): void {
  let server: PostgresServer | undefined
  const opened: Database[] = []
  const kinds = {
    PGlite: async () => startStoreProcess(undefined, { warn: () => {} }).database,
    PostgreSQL: async () => {
      server ??= await startPostgres()
      return openPostgres(server.url, { connectTimeoutMs: 300_000, queryTimeoutMs: 300_000 })
    },
  } as const
  describe.each(Object.keys(kinds) as (keyof typeof kinds)[])(`${title} on %s`, (name) => {
    if (name === 'PostgreSQL' && missingPostgres !== undefined) {
      test.skip(`${name} cannot run here: ${missingPostgres}`, () => {})
      return
    }
    let database: Database
    let store: Store
    const open = async () => {
      const one = await kinds[name]()
      opened.push(one)
      return one
    }
    beforeAll(async () => {
      database = await open()
      await migrate(database)
      store = createStore(database)
    }, 600_000)
    afterAll(async () => {
      for (const one of opened.splice(0)) await one.close().catch(() => {})
      if (name === 'PostgreSQL') await server?.remove()
    }, 600_000)
    tests({ name, database: () => database, store: () => store, open })
  })
}
