import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { Lock } from '@plumbline/models'
import type { Store, StorePlace } from '@plumbline/store'
import { z } from 'zod'
import type { World } from './world.ts'

/** The flags that say where records are. */
export const placeFields = {
  data: z.string().min(1).optional().describe('folder of plumb serve; must not be in use'),
  database: z
    .string()
    .min(1)
    .optional()
    .describe('postgres://… of plumb serve; may be in use; the password may come from PGPASSWORD'),
}
export interface DataPlace {
  readonly data?: string | undefined
  readonly database?: string | undefined
}

const shippingMs = 600_000

/** The folder of --data, made if need be. Throws USAGE_DATA. */
export async function makeDataFolder(data: string, { cwd }: World): Promise<string> {
  const folder = resolve(cwd, data)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    const isFile = cause.code === 'EEXIST' || cause.code === 'ENOTDIR'
    const why = isFile ? 'there is a file in its place' : cause.message.replace(/,.*/, '')
    throw new PlumblineError('USAGE_DATA', `--data ${data}: the folder cannot be made: ${why}.`, {
      hint: 'Give a folder that may be made, or the one of an earlier plumb serve.',
      cause,
    })
  })
  return folder
}

/** Makes the folder this process's alone; says so when it has to wait. Throws DATA_IN_USE, DATA_UNWRITABLE, INTERRUPTED. */
export async function lockData(folder: string, { log, signal }: Pick<World, 'log' | 'signal'>): Promise<Lock> {
  const { acquireLock } = await import('@plumbline/models')
  const refuse = ({ pid, host }: { pid: number; host: string }) =>
    new PlumblineError('DATA_IN_USE', `${folder} is in use by process ${pid} on ${host}.`, {
      hint: 'Stop that one (a plumb serve, or the process of a store that one left behind), or give another --data. A running plumb serve answers over HTTP: GET /openapi.json.',
    })
  const onWait = (holder: string) =>
    log.info(`${folder} was last used by ${holder}. Waiting up to 15 s to see whether it still is.`)
  return acquireLock(join(folder, '.lock'), { signal, refuse, onWait }).catch((cause: Error) => {
    if (cause instanceof PlumblineError) throw cause
    throw new PlumblineError('DATA_UNWRITABLE', `${folder} cannot be written: ${cause.message.replace(/,.*/, '')}.`, {
      hint: 'Make room on its disk, or see to who may write there; then start again. What is in it stays.',
      cause,
    })
  })
}

/** Runs `work` where nobody else uses the folder. Gives it the place of the store. */
export async function withPlace<T>(
  { data, database }: DataPlace,
  world: World,
  work: (place: StorePlace, folder: string | undefined) => Promise<T>,
): Promise<T> {
  const folder = data === undefined ? undefined : await makeDataFolder(data, world)
  if (folder === undefined) {
    if (database !== undefined) return work({ url: database }, undefined)
    throw new PlumblineError('USAGE_MISSING', 'Where are the records? Neither --data nor --database is given.', {
      hint: 'Give the same --data or --database as plumb serve.',
    })
  }
  const lock = await lockData(folder, world)
  try {
    return await work(database === undefined ? { folder: join(folder, 'store') } : { url: database }, folder)
  } finally {
    await lock.release()
  }
}

/** Runs `work` on the store that is there, with what waited in the spool of the folder in it. */
export async function withStore<T>(place: DataPlace, world: World, work: (store: Store) => Promise<T>): Promise<T> {
  const wanted = place.database === undefined ? 'store' : 'spool'
  if (place.data !== undefined && !(await isFolder(join(resolve(world.cwd, place.data), wanted)))) {
    throw new PlumblineError('DATA_MISSING', `${place.data} is no folder of plumb serve: it has no ${wanted}.`, {
      hint: `Paths are read from ${world.cwd}.`,
    })
  }
  return withPlace(place, world, async (storePlace, folder) => {
    const { openStore } = await import('@plumbline/store')
    const store = await openStore(storePlace)
    try {
      if (folder !== undefined) await shipSpool(join(folder, 'spool'), store, world)
      return await work(store)
    } finally {
      await store.close()
    }
  })
}

/** Records that a gateway left behind when it was killed. */
async function shipSpool(folder: string, store: Store, { log }: World): Promise<void> {
  if (!(await isFolder(folder))) return
  const { openSpool, startShipper } = await import('@plumbline/store')
  const spool = await openSpool(folder, { warn: log.warn })
  try {
    const { bytes } = spool.state()
    if (bytes > 0) log.info(`${bytes} bytes of records that were not in the store yet go into it first.`)
    await startShipper(spool, store, { warn: log.warn, folder }).stop(shippingMs)
    if (spool.state().bytes === 0) return
    throw new PlumblineError('SPOOL_PENDING', `Records in ${folder} do not get into the store; nothing was done.`, {
      hint: 'See the warnings above; start plumb serve on this folder, and look at its /readyz.',
    })
  } finally {
    await spool.close(0)
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}
