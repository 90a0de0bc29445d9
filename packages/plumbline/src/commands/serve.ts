import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { GuardSet, Serving } from '@plumbline/gateway'
import { type LocalUpstream, policiesOf, policyFields } from '@plumbline/gateway/config'
import type { MonitoringPlan } from '@plumbline/server'
import { z } from 'zod'
import { adminKeyOf } from '../admin-key.ts'
import { defineCommand } from '../command.ts'
import { lockData } from '../data-place.ts'
import { createDemoData } from '../demo.ts'
import { readGuardsFile } from '../guards-file.ts'
import { localModelFields, startLocal } from '../local-model.ts'
import { readMonitoringFile } from '../monitoring-file.ts'
import { version } from '../version.ts'
import type { World } from '../world.ts'

const days = (text: string) => z.number().positive().max(36_500).optional().describe(text)

const config = z.object({
  data: z
    .string()
    .min(1)
    .optional()
    .describe('folder of the records: the spool and the embedded store; needed but with --demo'),
  demo: z
    .boolean()
    .default(false)
    .describe('show the pages on an invented month, without a model; it is made anew and kept nowhere'),
  port: z.number().int().min(0).max(65_535).default(8080).describe('port to listen on; 0 takes a free one'),
  host: z.string().min(1).default('127.0.0.1').describe('address to listen on; 0.0.0.0 is every one'),
  database: z
    .string()
    .min(1)
    .optional()
    .describe('postgres://… keeps the records in that PostgreSQL; the password may come from PGPASSWORD'),
  ...policyFields,
  ...localModelFields,
  guards: z.string().min(1).optional().describe('YAML file of guards over requests and answers'),
  monitoring: z
    .string()
    .min(1)
    .optional()
    .describe('YAML file of evaluators, sampling and where alarms go; without one, four classifiers and the log'),
  record_patience_ms: z
    .number()
    .int()
    .min(0)
    .max(60_000)
    .default(250)
    .describe('longest wait of an answer’s last bytes for its record to be on disk; 0 does not wait'),
  retain_content_days: days('days that questions and answers are kept; for ever when left out'),
  retain_metadata_days: days('days that whole records are kept; for ever when left out'),
  feedback_days: z.number().int().min(1).max(3650).default(30).describe('days for which a feedback token is good'),
  drain_timeout: z
    .number()
    .positive()
    .max(86_400)
    .default(30)
    .describe('seconds that answers may take to end after SIGTERM or Ctrl-C'),
})
type Config = z.output<typeof config>

/** Keys that a reload cannot change. */
const fixed = [
  'data',
  'demo',
  'port',
  'host',
  'database',
  'model',
  'batch_size',
  'max_waiting',
  'monitoring',
  'record_patience_ms',
  'retain_content_days',
  'retain_metadata_days',
  'feedback_days',
  'drain_timeout',
] as const

export const serve = defineCommand({
  name: 'serve',
  summary: 'stand in front of a model and record every answer',
  description:
    'An OpenAI-compatible gateway before a server of yours, or without --upstream before a model on this machine, which is pulled if it is not in the cache and writes several answers at a time. The first administrator’s key is PLUMBLINE_ADMIN_KEY, or is made and shown once; PLUMBLINE_UPSTREAM_KEY is shown to the upstream. SIGTERM and Ctrl-C let answers end and then stop with status 0; SIGHUP, or POST /api/reload, reads the configuration anew.',
  examples: [
    { line: 'plumb serve --demo', does: 'look at the pages on an invented month, with an incident in it' },
    {
      line: 'plumb serve --data runs/gateway --port 8080',
      does: 'serve SmolLM2-135M-Instruct on this machine, records in the embedded store',
    },
    {
      line: 'plumb serve --data runs/gateway --port 8080 --upstream http://127.0.0.1:8000/v1',
      does: 'in front of a server on this machine, records in the embedded store',
    },
    {
      line: 'plumb serve --data runs/gateway --upstream https://api.openai.com/v1 --database postgres://plumbline@db/plumbline',
      does: 'in front of OpenAI, records in PostgreSQL',
    },
    {
      line: 'plumb serve --data runs/gateway --upstream http://127.0.0.1:8000/v1 --guards guards.yaml',
      does: 'with guards that watch, redact or stop what is asked and answered',
    },
    {
      line: 'plumb serve --data runs/gateway --upstream http://127.0.0.1:8000/v1 --monitoring monitoring.yaml',
      does: 'with evaluators of your choice and alarms by webhook and e-mail: see the README of packages/server',
    },
    {
      line: 'plumb serve --data runs/gateway --config gateway.yaml',
      does: 'in front of several servers, with weights, fallbacks and limits: see the README of packages/gateway',
    },
  ],
  config,
  isService: true,
  async run(config, world, reread) {
    if (config.demo) return serveDemo(config, world)
    if (config.data === undefined) {
      throw new PlumblineError('USAGE_MISSING', 'plumb serve needs --data.', {
        hint: 'A folder for the records, which is made if need be; plumb serve --demo shows the pages without one.',
      })
    }
    const adminKey = adminKeyOf(world)
    // What is wrong with it is told before a folder is made.
    const guards = await guardsOf(config, world)
    const monitoring = await readMonitoringFile(config.monitoring, world)
    if (hasUpstream(config)) policiesOf(config, world.env)
    const folder = resolve(world.cwd, config.data)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const lock = await lockData(folder)
    try {
      const local = await startLocal(config, world)
      try {
        await serveUntilStopped(config, { folder, local, adminKey, guards, monitoring, reread }, world)
      } finally {
        await local?.stop()
      }
    } finally {
      await lock.release()
    }
  },
})

/** Nothing is asked for but where to listen: no model, no records of anybody. */
async function serveDemo(config: Config, world: World): Promise<void> {
  const given = (['data', 'database', 'upstream', 'guards', 'monitoring'] as const).filter(
    (key) => config[key] !== undefined,
  )
  if (given.length > 0) {
    throw new PlumblineError('USAGE_DEMO', `--demo does not go with --${given[0]}: its month is made anew each time.`, {
      hint: 'Leave out one of the two.',
    })
  }
  const adminKey = adminKeyOf(world)
  const { demoPlan } = await import('@plumbline/server')
  const monitoring = demoPlan()
  const { folder, remove } = await createDemoData(monitoring, world)
  try {
    // Nobody listens there: a question to a model gets an error that says so.
    const alone = { ...config, upstream: 'http://127.0.0.1:9/v1' }
    const reread = async () => alone
    await serveUntilStopped(alone, { folder, local: undefined, adminKey, guards: undefined, monitoring, reread }, world)
  } finally {
    await remove()
  }
}

interface Prepared {
  readonly folder: string
  readonly local: LocalUpstream | undefined
  readonly adminKey: string | undefined
  readonly guards: GuardSet | undefined
  readonly monitoring: MonitoringPlan
  readonly reread: () => Promise<Config>
}

async function serveUntilStopped(config: Config, prepared: Prepared, world: World) {
  const { folder, local, adminKey, guards, monitoring, reread } = prepared
  const { serve } = await import('@plumbline/gateway')
  const { createServerRoutes, startMonitoring } = await import('@plumbline/server')
  const { loadPages, pagePaths } = await import('@plumbline/dashboard')
  const ms = (value: number) => Math.round(value * 1000)
  const serving = await serve({
    folder,
    databaseUrl: config.database,
    host: config.host,
    port: config.port,
    policies: { ...policiesOf(config, world.env, local), guards },
    reread: async () => {
      const next = await reread()
      const changed = fixed.filter((key) => next[key] !== config[key])
      if (changed.length > 0) world.log.warn(`A reload does not change ${changed.join(', ')}: that takes a restart.`)
      return { ...policiesOf(next, world.env, local), guards: await guardsOf(next, world) }
    },
    adminKey,
    feedbackDays: config.feedback_days,
    recordPatienceMs: config.record_patience_ms,
    drainMs: ms(config.drain_timeout),
    retention: { contentDays: config.retain_content_days, metadataDays: config.retain_metadata_days },
    routes: createServerRoutes(monitoring),
    pages: { paths: pagePaths, load: loadPages },
    services: [(parts) => startMonitoring(monitoring, parts)],
    version,
    now: world.now,
    warn: world.log.warn,
  })
  world.onHangup(() => void reload(serving, world))
  if (world.json) world.emit({ url: serving.url, admin_key: serving.newAdminKey })
  else {
    world.stdout.write(`listening on ${serving.url}\n`)
    if (serving.newAdminKey !== undefined) {
      world.stdout.write(`admin key ${serving.newAdminKey}\nIt is shown this once: keep it.\n`)
    }
  }
  if (!world.signal.aborted) {
    await new Promise<void>((done) => world.signal.addEventListener('abort', () => done(), { once: true }))
  }
  await serving.stop()
}

async function guardsOf({ guards }: Config, world: World): Promise<GuardSet | undefined> {
  return guards === undefined ? undefined : readGuardsFile(guards, world)
}

const hasUpstream = ({ upstream, upstreams }: Config) => upstream !== undefined || upstreams.length > 0

async function reload(serving: Serving, { log }: World): Promise<void> {
  try {
    const { config } = await serving.reload()
    log.info(`Configuration ${config} is in force.`)
  } catch (error) {
    const { message, hint } = error as PlumblineError
    log.warn(`The configuration was not reloaded, the old one stays. ${message}${hint === undefined ? '' : ` ${hint}`}`)
  }
}
