/** run.json: what a run is and how it stands. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { JsonValue } from './json-value.ts'
import { replaceDurably } from './run-files.ts'
import type { RunInputs } from './run-inputs.ts'

/** A run that says `running` while no living process holds its lock was killed. */
export type RunStatus = 'running' | 'finished' | 'interrupted' | 'failed'

/** The content of run.json; outward names. */
export interface RunRecord {
  readonly plumbline: string
  readonly command: string
  readonly status: RunStatus
  /** ISO 8601, as all times here. */
  readonly started: string
  readonly updated: string
  readonly pid: number
  readonly host: string
  /** Step of the newest checkpoint; null before the first. */
  readonly step: number | null
  readonly error: { readonly code: string; readonly message: string } | null
  readonly config: { readonly [key: string]: JsonValue }
  readonly inputs?: RunInputs
}

const name = 'run.json'

/** The record of the run in a folder, or undefined when it holds none. Throws RUN_BROKEN. */
export async function readRunRecord(path: string): Promise<RunRecord | undefined> {
  const text = await readFile(join(path, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const broken = (cause?: unknown) =>
    new PlumblineError('RUN_BROKEN', `${join(path, name)} is not what a run writes there.`, {
      hint: 'Use another --output.',
      cause,
    })
  let record: Partial<RunRecord> | null
  try {
    record = JSON.parse(text)
  } catch (cause) {
    throw broken(cause)
  }
  const isWhole = typeof record?.command === 'string' && typeof record.config === 'object' && record.config !== null
  if (!isWhole) throw broken()
  return record as RunRecord
}

export async function writeRunRecord(path: string, record: RunRecord): Promise<void> {
  await replaceDurably(join(path, name), `${JSON.stringify(record, null, 2)}\n`)
}
