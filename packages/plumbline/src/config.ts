import { nearest, PlumblineError } from '@plumbline/contracts'
import type { z } from 'zod'
import type { Command } from './command.ts'
import { readConfigFile } from './config-file.ts'
import { describeAllowed, type Field, fieldsOf, isList, type Shape, shapeAt } from './fields.ts'
import { flagName, type Given, parseFlags, parseText } from './flags.ts'

/**
 * The one way to a command's config: defaults of the schema, over them the YAML file of --config, over them flags.
 * Throws `USAGE_…` with the field, the value, what is allowed, and the flag or file:line it came from.
 */
export async function resolveConfig(command: Command, args: readonly string[], cwd: string) {
  const fields = fieldsOf(command.config)
  const flags = parseFlags(args, fields)
  const file = flags.config === undefined ? [] : await readConfigFile(flags.config, command.name, fields, cwd)
  const given = new Map([...file, ...positionalValues(command, fields, flags.positionals), ...flags.values])
  checkRequired(command, fields, given)
  const parsed = command.config.safeParse(Object.fromEntries([...given].map(([key, { value }]) => [key, value])))
  if (!parsed.success) throw wrongValue(parsed.error.issues[0], fields, given)
  return parsed.data
}

function positionalValues(command: Command, fields: readonly Field[], words: readonly string[]): Map<string, Given> {
  const names = command.positionals ?? []
  const values = new Map<string, Given>()
  let used = 0
  for (const name of names) {
    const field = fields.find((candidate) => candidate.name === name)
    if (field === undefined || used >= words.length) break
    const rest = words.slice(used)
    const takesAll = isList(field.shape)
    values.set(name, { value: takesAll ? rest : parseText(rest[0], field.shape), source: name.toUpperCase() })
    used += takesAll ? rest.length : 1
  }
  if (used < words.length) {
    const place = names.length === 0 ? 'takes flags only' : `takes ${names.join(' ')} and flags`
    throw new PlumblineError('USAGE_EXTRA_WORD', `plumb ${command.name} ${place}, what is "${words[used]}" for?`, {
      hint: `Text with spaces needs quotes. plumb ${command.name} --help shows the flags.`,
    })
  }
  return values
}

function checkRequired(command: Command, fields: readonly Field[], given: ReadonlyMap<string, Given>): void {
  const missing = fields.filter(({ name, isRequired }) => isRequired && !given.has(name))
  if (missing.length === 0) return
  const names = missing.map(({ name }) => (command.positionals?.includes(name) ? name.toUpperCase() : flagName(name)))
  throw new PlumblineError('USAGE_MISSING', `plumb ${command.name} needs ${names.join(' and ')}.`, {
    hint: `For example: ${command.examples[0].line}`,
  })
}

function wrongValue(issue: z.core.$ZodIssue, fields: readonly Field[], given: ReadonlyMap<string, Given>) {
  const [key, ...inner] = issue.path
  const field = fields.find(({ name }) => name === key)
  if (field === undefined) return new PlumblineError('USAGE_CONFIG', endSentence(issue.message))
  const { value, source } = given.get(field.name) ?? { value: undefined, source: 'the default' }
  const where = inner.length === 0 ? field.name : `${field.name}[${inner.join('.')}]`
  const wrong = inner.reduce<unknown>((whole, step) => (whole as Record<PropertyKey, unknown>)?.[step], value)
  const shape = shapeAt(field.shape, inner)
  const hint =
    shape.description === undefined
      ? undefined
      : `${String(inner.at(-1) ?? field.name)}: ${endSentence(shape.description)}`
  if (issue.code === 'unrecognized_keys') return unknownPart(issue.keys[0], where, source, shape)
  // A refinement knows better than the type what it wants.
  const isOwnMessage = issue.code === 'custom' || (issue.code === 'invalid_format' && inner.length > 0)
  const allowed = isOwnMessage ? issue.message : `must be ${describeAllowed(shape)}`
  return new PlumblineError('USAGE_VALUE', `${where}: ${allowed}, got ${excerpt(wrong)} (from ${source}).`, { hint })
}

function unknownPart(key: string, where: string, source: string, { properties = {} }: Shape): PlumblineError {
  const meant = nearest(key, Object.keys(properties))
  return new PlumblineError('USAGE_UNKNOWN_KEY', `${where}: there is no key "${key}" (from ${source}).`, {
    hint: meant === undefined ? `Known keys: ${Object.keys(properties).join(', ')}.` : `Did you mean ${meant}?`,
  })
}

function excerpt(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}
