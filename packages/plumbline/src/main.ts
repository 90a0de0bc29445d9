import { runCli } from './cli.ts'
import { commands } from './commands.ts'
import { reportFailure } from './failure.ts'
import { takeGlobals } from './flags.ts'
import { createWorld, exitProcess } from './world.ts'

const { globals, rest } = takeGlobals(process.argv.slice(2))
const world = createWorld(globals)
// Errors that escape a command's promise (a socket's event, a forgotten await) end like any other.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => void exitProcess(reportFailure(error, world)))
}
await exitProcess(await runCli(rest, globals, commands, world))
