import { nearest, PlumblineError } from '@plumbline/contracts'
import { alternatives, type Field, isBoolean, isList, isNumeric, type Shape } from './fields.ts'

/** A value before the schema has seen it, and where a person can find it: `--max-steps` or `run.yaml:3`. */
export interface Given {
  readonly value: unknown
  readonly source: string
}

/** The switches that every command has. */
export interface Globals {
  readonly help: boolean
  readonly version: boolean
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

const globalNames = ['help', 'version', 'json', 'quiet', 'verbose'] as const

/**
 * Takes the global switches out of the arguments, wherever they stand before `--`. Never throws: it must be known that
 * --json was asked for before the first error can be reported.
 */
export function takeGlobals(args: readonly string[]): { globals: Globals; rest: string[] } {
  const globals = { help: false, version: false, json: false, quiet: false, verbose: false }
  const rest: string[] = []
  const end = args.includes('--') ? args.indexOf('--') : args.length
  for (let i = 0; i < end; i++) {
    const token = args[i] === '-h' ? '--help' : args[i]
    const [key, attached] = splitFlag(token)
    const name = token.startsWith('--')
      ? globalNames.find((candidate) => candidate === key || `no_${candidate}` === key)
      : undefined
    const said = attached ?? (i + 1 < end && isBooleanWord(args[i + 1]) ? args[i + 1] : undefined)
    if (name === undefined || (attached !== undefined && !isBooleanWord(attached))) {
      rest.push(args[i])
      continue
    }
    globals[name] = parseBoolean(said ?? 'true') !== key.startsWith('no_')
    if (attached === undefined && said !== undefined) i++
  }
  return { globals, rest: [...rest, ...args.slice(end)] }
}

/** The flags of one command by field name, and the words that belong to none. `config` is the file of `--config`. */
export function parseFlags(args: readonly string[], fields: readonly Field[]) {
  const byName = new Map(fields.map((field) => [field.name, field]))
  const values = new Map<string, Given>()
  const positionals: string[] = []
  let config: string | undefined
  for (let i = 0; i < args.length; i++) {
    const token = args[i]
    if (token === '--') {
      positionals.push(...args.slice(i + 1))
      break
    }
    if (!isFlag(token)) {
      positionals.push(token)
      continue
    }
    const [key, attached] = splitFlag(token)
    const flag = token.split('=', 1)[0]
    const next = (): string => {
      if (attached !== undefined) return attached
      if (i + 1 < args.length && !isFlag(args[i + 1])) return args[++i]
      throw new PlumblineError('USAGE_FLAG_VALUE', `${flag} needs a value.`, {
        hint: `Write ${flag} VALUE, or ${flag}=VALUE when the value itself begins with dashes.`,
      })
    }
    if (key === 'config') {
      config = next()
      continue
    }
    const field = byName.get(key)
    if (field !== undefined && isBoolean(field.shape)) {
      // `--flag word`: the word is the flag's only when it can be a value of it, else a positional.
      const takesNext = attached === undefined && i + 1 < args.length && isBooleanWord(args[i + 1])
      values.set(key, { value: parseText(attached ?? (takesNext ? args[++i] : 'true'), field.shape), source: flag })
    } else if (field !== undefined) {
      const value = parseText(next(), field.shape)
      const before = isList(field.shape) ? values.get(key)?.value : undefined
      const isMore = Array.isArray(before) && Array.isArray(value)
      values.set(key, { value: isMore ? [...before, ...value] : value, source: flag })
    } else {
      const negated = key.startsWith('no_') ? byName.get(key.slice(3)) : undefined
      if (negated === undefined || !isBoolean(negated.shape) || attached !== undefined) throw unknownFlag(flag, fields)
      values.set(negated.name, { value: false, source: flag })
    }
  }
  return { values, positionals, config }
}

/** `--max-steps` → `max_steps`, with what follows `=`. */
function splitFlag(token: string): [key: string, attached: string | undefined] {
  if (!token.startsWith('--')) return [token, undefined]
  const equals = token.indexOf('=')
  const name = equals < 0 ? token.slice(2) : token.slice(2, equals)
  return [name.replaceAll('-', '_'), equals < 0 ? undefined : token.slice(equals + 1)]
}

function isFlag(token: string): boolean {
  return /^--[a-z]/i.test(token) || /^-[a-z]/i.test(token)
}

function unknownFlag(flag: string, fields: readonly Field[]): PlumblineError {
  const names = [...fields.map(({ name }) => name), ...globalNames, 'config'].map(flagName)
  const meant = nearest(flag.replaceAll('_', '-'), names)
  return new PlumblineError('USAGE_UNKNOWN_FLAG', `There is no flag ${flag}.`, {
    hint: meant === undefined ? 'See --help for the flags of this command.' : `Did you mean ${meant}?`,
  })
}

/** The spelling that help shows: `max_steps` → `--max-steps`. */
export function flagName(key: string): string {
  return `--${key.replaceAll('_', '-')}`
}

function isBooleanWord(text: string): boolean {
  return parseBoolean(text) !== undefined
}

function parseBoolean(text: string): boolean | undefined {
  if (/^(true|yes|on|1)$/i.test(text)) return true
  if (/^(false|no|off|0)$/i.test(text)) return false
  return undefined
}

/** Text of a flag as the value its field wants. What does not fit stays text, and the schema says what is wrong. */
export function parseText(text: string, shape: Shape): unknown {
  if (isList(shape)) return parseList(text, shape)
  const options = alternatives(shape)
  const has = (type: string) => options.some((option) => option.type === type)
  if (has('null') && text === 'null') return null
  if (has('boolean') && isBooleanWord(text)) return parseBoolean(text)
  if (isNumeric(shape) && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text)
  return text
}

/** `a,b`, or JSON (`["a,b"]`) for items that contain commas. An item is never empty: `,` alone is the text itself. */
function parseList(text: string, shape: Shape): unknown {
  const list = alternatives(shape).find(({ type }) => type === 'array') ?? {}
  if (text.startsWith('[')) {
    try {
      const parsed: unknown = JSON.parse(text)
      if (Array.isArray(parsed)) return parsed
    } catch {
      // Not JSON: a plain item that begins with a bracket.
    }
  }
  const parts = shape.commas === false || list.commas === false ? [text] : text.split(',')
  const items = parts.includes('') ? [text] : parts
  return items.map((item) => parseText(item, list.items ?? {}))
}
