import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { version as number } from '../version.ts'

export const version = defineCommand({
  name: 'version',
  summary: 'the version of Plumbline',
  examples: [{ line: 'plumb version', does: 'print the version' }],
  config: z.object({}),
  run(_config, world) {
    if (world.json) world.emit({ version: number })
    else world.stdout.write(`${number}\n`)
  },
})
