import { located } from '@plumbline/contracts'
import type { MonitoringPlan } from '@plumbline/server'
import { readTextFile } from './text-file.ts'
import type { World } from './world.ts'
import { parseYaml } from './yaml-text.ts'

const hint = 'It is YAML: "evaluators", "sample", "judge", "alarms" and others; see the README of packages/server.'

/** What a YAML file says of monitoring; without a file, what is done by default. */
export async function readMonitoringFile(path: string | undefined, { cwd, env }: World): Promise<MonitoringPlan> {
  const { readMonitoring } = await import('@plumbline/server')
  if (path === undefined) return readMonitoring(undefined, env)
  const text = await readTextFile(path, { code: 'USAGE_MONITORING', cwd, maxBytes: 1 << 20, hint })
  return located(path, () => readMonitoring(parseYaml(text, { code: 'USAGE_MONITORING_SYNTAX', hint }), env))
}
