import { openStore, type RetentionPolicy } from '@plumbline/store'
import type { Service, ServiceParts } from './serve.ts'
import { startGatewayWorker } from './worker.ts'

/** Everything that `plumb worker` is told. */
export interface WorkOptions {
  readonly databaseUrl: string
  /** How long records are kept. */
  readonly retention: RetentionPolicy
  /** What else works on the store. */
  readonly services: readonly ((parts: ServiceParts) => Promise<Service>)[]
  readonly now: () => number
  readonly warn: (text: string) => void
}

/** Does the jobs of the gateways on one PostgreSQL, beside any number of others that do. */
export async function work(options: WorkOptions): Promise<Service> {
  const { databaseUrl, retention, now, warn } = options
  const store = await openStore({ url: databaseUrl })
  const worker = await startGatewayWorker(store, { policy: retention, now, clock: () => performance.now(), warn })
  const services: Service[] = []
  const stop = async () => {
    await Promise.all(services.map((service) => service.stop()))
    await worker.stop()
    await store.close()
  }
  try {
    for (const start of options.services) services.push(await start({ store, now, warn }))
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}
