import { nearest, PlumblineError } from '@plumbline/contracts'
import type { Command } from './command.ts'
import { resolveConfig } from './config.ts'
import { interruptStatus, reportFailure } from './failure.ts'
import type { Globals } from './flags.ts'
import { commandFacts, commandHelp, overview } from './help.ts'
import { version } from './version.ts'
import type { World } from './world.ts'

/** Commands by name, each read from its file on demand. */
export type Registry = Readonly<Record<string, () => Promise<Command>>>

/** Runs one command line (without the global switches) and gives the exit status. Never throws. */
export async function runCli(
  args: readonly string[],
  globals: Globals,
  registry: Registry,
  world: World,
): Promise<number> {
  try {
    const isService = await dispatch(args, globals, registry, world)
    return world.signal.aborted && !isService ? interruptStatus(world.signal) : 0
  } catch (error) {
    return reportFailure(error, world)
  }
}

/** Gives whether what ran was a service. */
async function dispatch(args: readonly string[], globals: Globals, registry: Registry, world: World): Promise<boolean> {
  if (globals.version) {
    if (world.json) world.emit({ version })
    else world.stdout.write(`${version}\n`)
    return false
  }
  const isHelp = globals.help || args[0] === 'help'
  const { name, rest } = findCommand(args[0] === 'help' ? args.slice(1) : args, registry)
  if (name !== undefined) {
    const command = await registry[name]()
    if (!isHelp) {
      const resolve = () => resolveConfig(command, rest, world.cwd)
      await command.run(await resolve(), world, resolve)
      return command.isService === true
    }
    if (world.json) world.emit(commandFacts(command))
    else world.stdout.write(commandHelp(command))
    return false
  }
  const group = isGroup(rest[0], registry) ? rest[0] : ''
  const isAsked = isHelp || args.length === 0
  if (!isAsked || (rest.length > 0 && group === '')) throw unknownCommand(rest, group, registry)
  const all = await Promise.all(Object.values(registry).map((load) => load()))
  if (world.json) world.emit(all.map(({ name: command, summary }) => ({ name: command, summary })))
  else world.stdout.write(overview(all, group))
  return false
}

/** The longest command name at the start of the words; --config may stand before it. */
export function findCommand<Name extends string>(
  args: readonly string[],
  registry: Readonly<Record<Name, () => Promise<Command>>>,
): { name?: Name; rest: readonly string[] } {
  const before = args[0] === '--config' ? 2 : args[0]?.startsWith('--config=') ? 1 : 0
  const words = args.slice(before)
  for (const length of [3, 2, 1]) {
    const name = words.slice(0, length).join(' ')
    if (words.length >= length && Object.hasOwn(registry, name)) {
      return { name: name as Name, rest: [...args.slice(0, before), ...words.slice(length)] }
    }
  }
  return { rest: words }
}

function isGroup(word: string | undefined, registry: Registry): boolean {
  return word !== undefined && Object.keys(registry).some((name) => name.startsWith(`${word} `))
}

export function unknownCommand(words: readonly string[], group: string, registry: Registry): PlumblineError {
  const names = Object.keys(registry)
  if (words[0]?.startsWith('-')) {
    return new PlumblineError('USAGE_UNKNOWN_FLAG', `${words[0]}: a command comes first.`, {
      hint: `Commands: ${names.join(', ')}.`,
    })
  }
  const inGroup = names.filter((name) => name.startsWith(`${group} `))
  if (group !== '' && (words[1] === undefined || words[1].startsWith('-'))) {
    return new PlumblineError('USAGE_UNKNOWN_COMMAND', `plumb ${group} needs to know what to do.`, {
      hint: `Commands: ${inGroup.join(', ')}.`,
    })
  }
  const typed = group === '' ? words[0] : words.slice(0, 2).join(' ')
  const candidates = group === '' ? [...names, ...names.map((name) => name.split(' ')[0])] : inGroup
  const meant = nearest(typed, candidates)
  return new PlumblineError('USAGE_UNKNOWN_COMMAND', `There is no command "${typed}".`, {
    hint: meant === undefined ? `Commands: ${names.join(', ')}.` : `Did you mean plumb ${meant}?`,
  })
}
