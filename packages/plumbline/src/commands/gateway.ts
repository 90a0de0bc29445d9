import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { runServing, servingConfig } from '../serving.ts'

const config = servingConfig
  .omit({
    model: true,
    batch_size: true,
    max_waiting: true,
    retain_content_days: true,
    retain_metadata_days: true,
  })
  .extend({
    data: z.string().min(1).describe('folder of the spool, for this process alone'),
    database: z
      .string()
      .min(1)
      .describe('postgres://… in which all of them keep the records; the password may come from PGPASSWORD'),
    upstream: servingConfig.shape.upstream.describe(
      'the OpenAI-compatible server to stand in front of, such as http://127.0.0.1:8000/v1',
    ),
  })

export const gateway = defineCommand({
  name: 'gateway',
  summary: 'plumb serve as one of several processes before one PostgreSQL',
  description:
    'What plumb serve does, without its jobs: monitoring, deletions and retention are done by plumb worker, of which at least one must run; give both the same --monitoring file, as a gateway shows what its own says. Each gateway has a --data folder of its own, in which its records wait for the database. A key that one gateway made or revoked is known to the others within five seconds; limits of keys, breakers and the retry budget are of each process.',
  examples: [
    {
      line: 'plumb gateway --data runs/gateway-1 --port 8080 --upstream http://127.0.0.1:8000/v1 --database postgres://plumbline@db/plumbline',
      does: 'one of several; the next has its own --data and --port',
    },
  ],
  config,
  isService: true,
  run: (config, world, reread) =>
    runServing(servingConfig.parse(config), world, async () => servingConfig.parse(await reread()), { isAlone: false }),
})
