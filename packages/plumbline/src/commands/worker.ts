import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { readMonitoringFile } from '../monitoring-file.ts'
import { retentionOf, servingConfig, untilStopped } from '../serving.ts'

const { monitoring, retain_content_days, retain_metadata_days } = servingConfig.shape

export const worker = defineCommand({
  name: 'worker',
  summary: 'do the jobs of plumb gateway processes: monitoring, deletion, redaction, retention',
  description:
    'Any number may run on one database: each job is done by one of them, and goes to another when that one dies. Give it the --monitoring file that the gateways have: they show evaluators by their own. The retention of the worker that was started last counts. SIGTERM and Ctrl-C put back what is under way and end with status 0.',
  examples: [
    {
      line: 'plumb worker --database postgres://plumbline@db/plumbline --retain-content-days 30',
      does: 'beside any number of plumb gateway',
    },
  ],
  config: z.object({
    database: z.string().min(1).describe('postgres://… of the gateways; the password may come from PGPASSWORD'),
    monitoring,
    retain_content_days,
    retain_metadata_days,
  }),
  isService: true,
  async run(config, world) {
    const plan = await readMonitoringFile(config.monitoring, world)
    const { work } = await import('@plumbline/gateway')
    const { startMonitoring } = await import('@plumbline/server')
    const working = await work({
      databaseUrl: config.database,
      retention: retentionOf(config),
      services: [(parts) => startMonitoring(plan, parts)],
      now: world.now,
      warn: world.log.warn,
    })
    if (world.json) world.emit({ working: true })
    else world.stdout.write('working\n')
    await untilStopped(world)
    await working.stop()
  },
})
