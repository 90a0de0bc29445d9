import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { adminKeyOf } from '../admin-key.ts'
import { defineCommand } from '../command.ts'
import { createDemoData } from '../demo.ts'
import { openRunsFolder } from '../runs-folder.ts'
import { runServing, type ServingConfig, serveUntilStopped, servingConfig } from '../serving.ts'
import type { World } from '../world.ts'

const config = servingConfig.extend({
  data: z
    .string()
    .min(1)
    .optional()
    .describe('folder of the records: the spool and the embedded store; needed but with --demo'),
  demo: z
    .boolean()
    .default(false)
    .describe(
      'show the pages on an invented month and recorded training runs, without a model; it is made anew and kept nowhere',
    ),
})
type Config = z.output<typeof config>

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
      line: 'plumb serve --data runs/gateway --upstream http://127.0.0.1:8000/v1 --reward-model runs/reward/model --best-of 4',
      does: 'with the best of four answers to each chat, as the reward model sees it',
    },
    {
      line: 'plumb serve --data runs/gateway --upstream http://127.0.0.1:8000/v1 --monitoring monitoring.yaml',
      does: 'with evaluators of your choice and alarms by webhook and e-mail: see the README of packages/server',
    },
    {
      line: 'plumb serve --data runs/gateway --upstream http://127.0.0.1:8000/v1 --runs runs',
      does: 'with a page of the training runs below that folder',
    },
    {
      line: 'plumb serve --data runs/gateway --config gateway.yaml',
      does: 'in front of several servers, with weights, fallbacks and limits: see the README of packages/gateway',
    },
  ],
  config,
  isService: true,
  async run(config, world, reread) {
    if (config.demo) await serveDemo(config, world)
    else await runServing(withData(config), world, async () => withData(await reread()), { isAlone: true })
  },
})

function withData({ data, ...config }: Config): ServingConfig {
  if (data !== undefined) return { ...config, data }
  throw new PlumblineError('USAGE_MISSING', 'plumb serve needs --data.', {
    hint: 'A folder for the records, which is made if need be; plumb serve --demo shows the pages without one.',
  })
}

/** Nothing is asked for but where to listen: no model, no records of anybody. */
async function serveDemo(config: Config, world: World): Promise<void> {
  const given = (['data', 'database', 'upstream', 'guards', 'reward_model', 'monitoring'] as const).filter(
    (key) => config[key] !== undefined,
  )
  if (given.length > 0) {
    throw new PlumblineError(
      'USAGE_DEMO',
      `--demo does not go with --${given[0].replaceAll('_', '-')}: its month is made anew each time.`,
      {
        hint: 'Leave out one of the two.',
      },
    )
  }
  const adminKey = adminKeyOf(world)
  const { demoPlan, demoRuns } = await import('@plumbline/server')
  const monitoring = demoPlan()
  const runs = (await openRunsFolder(config.runs, world)) ?? demoRuns()
  const { folder, remove } = await createDemoData(monitoring, world)
  try {
    // Nobody listens there: a question to a model gets an error that says so.
    const alone = { ...config, data: folder, upstream: 'http://127.0.0.1:9/v1' }
    const reread = async () => alone
    const prepared = { folder, local: undefined, adminKey, judging: {}, monitoring, runs, reread, isAlone: true }
    await serveUntilStopped(alone, prepared, world)
  } finally {
    await remove()
  }
}
