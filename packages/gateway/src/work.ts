import { openStore, type RetentionPolicy } from '@plumbline/store'
import { startGatewayWorker } from './worker.ts'

/** Everything that `plumb worker` is told. */
export interface WorkOptions {
  readonly databaseUrl: string
  /** How long records are kept. */
  readonly retention: RetentionPolicy
  readonly now: () => number
  readonly warn: (text: string) => void
}

/** Does the jobs of the gateways on one PostgreSQL, beside any number of others that do. */
export async function work({ databaseUrl, retention, now, warn }: WorkOptions): Promise<{ stop(): Promise<void> }> {
  const store = await openStore({ url: databaseUrl })
  const worker = await startGatewayWorker(store, { policy: retention, now, warn })
  return {
    stop: async () => {
      await worker.stop()
      await store.close()
    },
  }
}
