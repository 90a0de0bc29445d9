import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { lockData } from '../data-place.ts'
import { version } from '../version.ts'
import type { World } from '../world.ts'

const seconds = (fallback: number, text: string) => z.number().positive().max(86_400).default(fallback).describe(text)
const days = (text: string) => z.number().positive().max(36_500).optional().describe(text)

const config = z.object({
  data: z.string().min(1).describe('folder of the records: the spool and the embedded store'),
  upstream: z
    .string()
    .min(1)
    .describe('the OpenAI-compatible server to stand in front of, such as http://127.0.0.1:8000/v1'),
  port: z.number().int().min(0).max(65_535).default(8080).describe('port to listen on; 0 takes a free one'),
  host: z.string().min(1).default('127.0.0.1').describe('address to listen on; 0.0.0.0 is every one'),
  database: z
    .string()
    .min(1)
    .optional()
    .describe('postgres://… keeps the records in that PostgreSQL; the password may come from PGPASSWORD'),
  connect_timeout: seconds(5, 'seconds to connect to the upstream'),
  first_token_timeout: seconds(120, 'seconds to the first event of a streamed answer'),
  idle_timeout: seconds(60, 'seconds of silence in a stream, and of a client that does not read'),
  total_timeout: seconds(900, 'seconds for a whole answer'),
  max_body_bytes: z
    .number()
    .int()
    .min(1024)
    .max(32 * 2 ** 20)
    .default(16 * 2 ** 20)
    .describe('largest request body'),
  max_in_flight: z.number().int().min(1).max(10_000).default(512).describe('most answers at a time'),
  record_patience_ms: z
    .number()
    .int()
    .min(0)
    .max(60_000)
    .default(250)
    .describe('longest wait of an answer’s last bytes for its record to be on disk; 0 does not wait'),
  retain_content_days: days('days that questions and answers are kept; for ever when left out'),
  retain_metadata_days: days('days that whole records are kept; for ever when left out'),
  drain_timeout: seconds(30, 'seconds that answers may take to end after SIGTERM or Ctrl-C'),
})
type Config = z.output<typeof config>

export const serve = defineCommand({
  name: 'serve',
  summary: 'stand in front of a model and record every answer',
  description:
    'An OpenAI-compatible gateway before a server of yours. The first administrator’s key is PLUMBLINE_ADMIN_KEY, or is made and shown once; PLUMBLINE_UPSTREAM_KEY is shown to the upstream. SIGTERM and Ctrl-C let answers end and then stop with status 0.',
  examples: [
    {
      line: 'plumb serve --data runs/gateway --port 8080 --upstream http://127.0.0.1:8000/v1',
      does: 'in front of a server on this machine, records in the embedded store',
    },
    {
      line: 'plumb serve --data runs/gateway --upstream https://api.openai.com/v1 --database postgres://plumbline@db/plumbline',
      does: 'in front of OpenAI, records in PostgreSQL',
    },
  ],
  config,
  isService: true,
  async run(config, world) {
    const adminKey = adminKeyOf(world)
    const folder = resolve(world.cwd, config.data)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const lock = await lockData(folder)
    try {
      await serveUntilStopped(config, folder, adminKey, world)
    } finally {
      await lock.release()
    }
  },
})

async function serveUntilStopped(config: Config, folder: string, adminKey: string | undefined, world: World) {
  const { serve } = await import('@plumbline/gateway')
  const { createServerRoutes } = await import('@plumbline/server')
  const ms = (value: number) => Math.round(value * 1000)
  const serving = await serve({
    folder,
    databaseUrl: config.database,
    host: config.host,
    port: config.port,
    upstream: config.upstream,
    upstreamKey: world.env.PLUMBLINE_UPSTREAM_KEY || undefined,
    adminKey,
    connectTimeoutMs: ms(config.connect_timeout),
    firstTokenMs: ms(config.first_token_timeout),
    idleMs: ms(config.idle_timeout),
    totalMs: ms(config.total_timeout),
    maxBodyBytes: config.max_body_bytes,
    maxInFlight: config.max_in_flight,
    recordPatienceMs: config.record_patience_ms,
    drainMs: ms(config.drain_timeout),
    retention: { contentDays: config.retain_content_days, metadataDays: config.retain_metadata_days },
    routes: createServerRoutes(),
    version,
    now: world.now,
    warn: world.log.warn,
  })
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

function adminKeyOf({ env, log }: World): string | undefined {
  const key = env.PLUMBLINE_ADMIN_KEY
  if (key === undefined || key === '') return undefined
  const advice = 'It should be random: openssl rand -hex 32 makes one.'
  if (!/^[\x21-\x7e]{8,512}$/.test(key)) {
    throw new PlumblineError('USAGE_ADMIN_KEY', 'PLUMBLINE_ADMIN_KEY has 8 to 512 printable characters, no spaces.', {
      hint: advice,
    })
  }
  if (key.length < 24) log.warn(`PLUMBLINE_ADMIN_KEY is short enough to be guessed. ${advice}`)
  return key
}
