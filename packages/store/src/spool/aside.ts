import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileWhole } from '../files.ts'
import { syncFolder } from './segments.ts'

/**
 * Keeps bytes for a person to look at: on disk and whole when it resolves, else not at all. Written once, however often they
 * are met; says whether this was the first time.
 */
export async function keepAside(
  folder: string,
  name: string,
  bytes: Uint8Array,
): Promise<{ path: string; isNew: boolean }> {
  const aside = join(folder, 'aside')
  const path = join(aside, name)
  const found = await stat(path).catch(() => undefined)
  const isNew = found?.size !== bytes.length
  if (isNew) {
    await mkdir(aside, { recursive: true })
    await writeFileWhole(path, { overwrite: true }, (write) => write(bytes))
  }
  // Of one that is there already too: the try before may have failed behind its rename.
  for (const changed of [aside, folder]) await syncFolder(changed)
  return { path, isNew }
}
