import type { PlumblineError } from '@plumbline/contracts'
import type { PolicyOptions, RewardModel, Serving } from '@plumbline/gateway'
import { bestOfOf, type LocalUpstream, policiesOf, policyFields } from '@plumbline/gateway/config'
import type { MonitoringPlan, Runs } from '@plumbline/server'
import { z } from 'zod'
import { adminKeyOf } from './admin-key.ts'
import { lockData, makeDataFolder } from './data-place.ts'
import { readGuardsFile } from './guards-file.ts'
import { localModelFields, startLocal } from './local-model.ts'
import { readMonitoringFile } from './monitoring-file.ts'
import { rewardModelField, startReward } from './reward-model.ts'
import { openRunsFolder } from './runs-folder.ts'
import { version } from './version.ts'
import type { World } from './world.ts'

const days = (text: string) => z.number().positive().max(36_500).optional().describe(text)

/** Flags of every process that stands before a model. */
export const servingConfig = z.object({
  data: z.string().min(1).describe('folder of the records: the spool and the embedded store'),
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
  reward_model: rewardModelField,
  monitoring: z
    .string()
    .min(1)
    .optional()
    .describe('YAML file of evaluators, sampling and where alarms go; without one, four classifiers and the log'),
  runs: z
    .string()
    .min(1)
    .optional()
    .describe('folder in which training runs lie, whose curves the pages show; without one, none are shown'),
  record_until: z
    .enum(['written', 'synced'])
    .default('written')
    .describe(
      'what an answer’s last bytes wait for: written (the system has the record: kill -9 loses no answer that somebody has) or synced (it is on disk: nor does a power cut)',
    ),
  record_patience_ms: z
    .number()
    .int()
    .min(0)
    .max(60_000)
    .default(10_000)
    .describe('longest wait of an answer’s last bytes for its record; 0 does not wait'),
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
export type ServingConfig = z.output<typeof servingConfig>

/** Keys that a reload cannot change. */
const fixed = [
  'data',
  'port',
  'host',
  'database',
  'model',
  'batch_size',
  'max_waiting',
  'reward_model',
  'monitoring',
  'runs',
  'record_until',
  'record_patience_ms',
  'retain_content_days',
  'retain_metadata_days',
  'feedback_days',
  'drain_timeout',
] as const

/** `isAlone`: this process does its own jobs; otherwise workers do. */
export async function runServing(
  config: ServingConfig,
  world: World,
  reread: () => Promise<ServingConfig>,
  { isAlone }: { isAlone: boolean },
): Promise<void> {
  const adminKey = adminKeyOf(world)
  // What is wrong with it is told before a folder is made.
  const monitoring = await readMonitoringFile(config.monitoring, world)
  const runs = await openRunsFolder(config.runs, world)
  if (hasUpstream(config) || !isAlone) policiesOf(config, world.env)
  const rewardModel = await startReward(config.reward_model, world)
  try {
    const judging = await judgingOf(config, rewardModel, world)
    await serveLocked(config, { rewardModel, adminKey, judging, monitoring, runs, reread, isAlone }, world)
  } finally {
    await rewardModel?.stop()
  }
}

/** With the folder of the records to itself, and the local model where there is no upstream. */
async function serveLocked(config: ServingConfig, prepared: Omit<Prepared, 'folder' | 'hold' | 'local'>, world: World) {
  const folder = await makeDataFolder(config.data, world)
  const lock = await lockData(folder, world)
  try {
    const local = await startLocal(config, world)
    try {
      await serveUntilStopped(config, { ...prepared, folder, hold: lock.shareWith, local }, world)
    } finally {
      await local?.stop()
    }
  } finally {
    await lock.release()
  }
}

interface Prepared {
  readonly folder: string
  /** See `ServeOptions`. */
  readonly hold?: ((pid: number) => Promise<void>) | undefined
  readonly local: LocalUpstream | undefined
  readonly rewardModel?: RewardModel | undefined
  readonly adminKey: string | undefined
  readonly judging: Judging
  readonly monitoring: MonitoringPlan
  readonly runs: Runs | undefined
  readonly reread: () => Promise<ServingConfig>
  readonly isAlone: boolean
}

export async function serveUntilStopped(config: ServingConfig, prepared: Prepared, world: World) {
  const { folder, hold, local, rewardModel, adminKey, judging, monitoring, runs, reread, isAlone } = prepared
  const { serve } = await import('@plumbline/gateway')
  const { createServerRoutes, startMonitoring } = await import('@plumbline/server')
  const { loadPages, pagePaths } = await import('@plumbline/dashboard')
  const ms = (value: number) => Math.round(value * 1000)
  const serving = await serve({
    folder,
    hold,
    databaseUrl: config.database,
    host: config.host,
    port: config.port,
    policies: { ...policiesOf(config, world.env, local), ...judging },
    reread: async () => {
      const next = await reread()
      const changed = fixed.filter((key) => next[key] !== config[key])
      if (changed.length > 0) world.log.warn(`A reload does not change ${changed.join(', ')}: that takes a restart.`)
      return { ...policiesOf(next, world.env, local), ...(await judgingOf(next, rewardModel, world)) }
    },
    rewardModel,
    adminKey,
    feedbackDays: config.feedback_days,
    recordUntil: config.record_until,
    recordPatienceMs: config.record_patience_ms,
    drainMs: ms(config.drain_timeout),
    retention: isAlone ? retentionOf(config) : undefined,
    routes: createServerRoutes(monitoring, { runs }),
    pages: { paths: pagePaths, load: loadPages },
    services: isAlone ? [(parts) => startMonitoring(monitoring, parts)] : [],
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
  await untilStopped(world)
  await serving.stop()
}

export function retentionOf(config: Pick<ServingConfig, 'retain_content_days' | 'retain_metadata_days'>) {
  return { contentDays: config.retain_content_days, metadataDays: config.retain_metadata_days }
}

type Judging = Pick<PolicyOptions, 'guards' | 'bestOf'>

/** What judges answers, the reward model at hand. */
async function judgingOf(config: ServingConfig, rewardModel: RewardModel | undefined, world: World): Promise<Judging> {
  const bestOf = bestOfOf(config, rewardModel)
  const guards = config.guards === undefined ? undefined : await readGuardsFile(config.guards, world, rewardModel)
  return { guards, bestOf }
}

export async function untilStopped({ signal }: World): Promise<void> {
  if (signal.aborted) return
  // A process whose database went away has nothing else that is open: it must be there when that comes back.
  const staying = setInterval(() => {}, 2 ** 30)
  await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }))
  clearInterval(staying)
}

const hasUpstream = ({ upstream, upstreams }: ServingConfig) => upstream !== undefined || upstreams.length > 0

async function reload(serving: Serving, { log }: World): Promise<void> {
  try {
    const { config } = await serving.reload()
    log.info(`Configuration ${config} is in force.`)
  } catch (error) {
    const { message, hint } = error as PlumblineError
    log.warn(`The configuration was not reloaded, the old one stays. ${message}${hint === undefined ? '' : ` ${hint}`}`)
  }
}
