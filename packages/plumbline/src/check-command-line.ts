import { findCommand, unknownCommand } from './cli.ts'
import { commands } from './commands.ts'
import { resolveConfig } from './config.ts'
import { takeGlobals } from './flags.ts'

/**
 * Reads a `plumb …` line of a text as plumb would, without running it, up to a pipe, redirection or comment. Gives the
 * command's name, undefined for a bare `plumb` or its help; throws what plumb would say.
 */
export async function checkCommandLine(line: string): Promise<string | undefined> {
  const words = shellWords(line.replace(/^\s*\$\s*/, ''))
  const end = words.findIndex((word) => /^([|;&<>]|&&|\|\||2>|#).*/.test(word))
  const { globals, rest } = takeGlobals(words.slice(1, end < 0 ? undefined : end))
  const found = findCommand(rest[0] === 'help' ? rest.slice(1) : rest, commands)
  if (found.name === undefined) {
    if (found.rest.length > 0) throw unknownCommand(found.rest, '', commands)
    return undefined
  }
  if (!globals.help && rest[0] !== 'help')
    await resolveConfig(await commands[found.name](), withoutFile(found.rest), process.cwd())
  return found.name
}

/** The file that --config names is the reader's. */
function withoutFile(words: readonly string[]): string[] {
  const place = words.indexOf('--config')
  return place < 0 ? [...words] : words.toSpliced(place, 2)
}

/** Words of a shell line; quotes as in `--prompt "two words"`. */
function shellWords(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  )
}
