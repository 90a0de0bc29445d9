import { dirname, join } from 'node:path'
import { alignReportSchema, type RunDetail } from '@plumbline/contracts'
import { z } from 'zod'
import { parseObject, readPlainText } from './plain-file.ts'
import type { KnownRun } from './run-state.ts'

type Job = NonNullable<RunDetail['job']>

const maxDurationsBytes = 64 * 1024
const maxReportBytes = 4 * 2 ** 20
const durationsSchema = z.record(z.string(), z.number().min(0))
const reportSchema = alignReportSchema.pick({ outcomes: true })

/** What the folder around a run says of it, where that is one of `plumb align`; its runs are filled in by the caller. */
export async function readJob({ place }: KnownRun): Promise<Omit<Job, 'runs'> | undefined> {
  if (place.name === '.') return undefined
  const folder = dirname(place.folder)
  const durations = await readPart(join(folder, 'durations.json'), maxDurationsBytes, durationsSchema)
  const report = await readPart(join(folder, 'report.json'), maxReportBytes, reportSchema)
  if (durations === undefined && report === undefined) return undefined
  return {
    name: jobOf(place.name),
    durations: Object.entries(durations ?? {}).map(([name, seconds]) => ({ name, seconds })),
    outcomes: report?.outcomes ?? [],
  }
}

/** The folder that a run lies in. */
export const jobOf = (name: string) => (name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '.')

/** Undefined where there is no such file. Throws RUN_FILE; one of another shape is somebody else's. */
async function readPart<T>(path: string, maxBytes: number, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readPlainText(path, maxBytes)
  return text === undefined ? undefined : schema.safeParse(parseObject(text)).data
}
