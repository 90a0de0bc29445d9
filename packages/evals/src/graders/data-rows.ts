/** Rows of the data folder, which lies beside the repository where nothing else is said. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'

export const defaultDataFolder = resolve(import.meta.dirname, '../../../../../shared/data')

/** Undefined where the file is absent. */
export function readRows(folder: string, file: string): Record<string, unknown>[] | undefined {
  const path = join(folder, file)
  if (!existsSync(path)) return undefined
  const bytes = readFileSync(path)
  const text = file.endsWith('.gz') ? gunzipSync(bytes, { maxOutputLength: 64 * 2 ** 20 }) : bytes
  return text
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
