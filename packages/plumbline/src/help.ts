import type { Command } from './command.ts'
import {
  alternatives,
  describeAllowed,
  type Field,
  fieldsOf,
  isBoolean,
  isList,
  isNumeric,
  type Shape,
} from './fields.ts'
import { flagName } from './flags.ts'

/** Switches of every command, as help lists them. */
const globalFlags: readonly [flag: string, text: string][] = [
  ['--config FILE', 'YAML file with the same keys as the flags (max_steps: 5); flags win over it'],
  ['--json', 'JSON lines on stdout, everything else on stderr'],
  ['--quiet', 'only results and errors'],
  ['--verbose', 'also causes and stack traces'],
  ['--help, -h', 'this text'],
  ['--version', 'the version'],
]

/** `plumb --help`: every command in one line. `prefix` limits it to a group such as `models`. */
export function overview(commands: readonly Pick<Command, 'name' | 'summary'>[], prefix = ''): string {
  const rows = commands
    .filter(({ name }) => prefix === '' || name.startsWith(`${prefix} `))
    .map(({ name, summary }): [string, string] => [name, summary])
  const title = prefix === '' ? 'plumb: keep a language model true to what its people want.' : `plumb ${prefix}`
  return [
    title,
    section('Commands', rows),
    section('On every command', globalFlags),
    `plumb ${prefix === '' ? '' : `${prefix} `}COMMAND --help shows the flags of one command.\n`,
  ].join('\n\n')
}

/** Help of one command, made from its schema. */
export function commandHelp(command: Command): string {
  const fields = fieldsOf(command.config)
  const places = (command.positionals ?? []).map((name) => {
    const field = fields.find((candidate) => candidate.name === name)
    const word = name.toUpperCase() + (field !== undefined && isList(field.shape) ? '…' : '')
    return field?.isRequired ? ` ${word}` : ` [${word}]`
  })
  return [
    `plumb ${command.name}: ${command.summary}`,
    `Usage: plumb ${command.name}${places.join('')} [flags]`,
    ...(command.description === undefined ? [] : [command.description]),
    ...(fields.length === 0 ? [] : [section('Flags', fields.map(flagRow))]),
    section('On every command', globalFlags),
    ['Examples', ...command.examples.flatMap(({ line, does }) => [`  # ${does}`, `  ${line}`]), ''].join('\n'),
  ].join('\n\n')
}

/** The same facts for programs: `plumb COMMAND --help --json`. */
export function commandFacts(command: Command) {
  const flags = fieldsOf(command.config).map(({ name, shape, isRequired }) => ({
    name,
    required: isRequired,
    ...shape,
  }))
  return { name: command.name, summary: command.summary, flags }
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length))
  return [title, ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)].join('\n')
}

function flagRow({ name, shape, isRequired }: Field): [string, string] {
  const notes = [choices(shape), bounds(shape), isRequired ? 'required' : defaultNote(shape)].filter(
    (note) => note !== '',
  )
  const flag = isBoolean(shape) && shape.default === true ? `--[no-]${flagName(name).slice(2)}` : flagName(name)
  const value = isBoolean(shape) ? '' : ` ${placeholder(shape)}`
  return [flag + value, `${shape.description ?? ''}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`]
}

function placeholder(shape: Shape): string {
  if (isList(shape)) return `${placeholder(alternatives(shape).find(({ type }) => type === 'array')?.items ?? {})}…`
  if (alternatives(shape).some(({ enum: values }) => values !== undefined)) return 'CHOICE'
  return isNumeric(shape) ? 'N' : 'TEXT'
}

/** A closed list of values; for a field of several types, all that it takes. */
function choices(shape: Shape): string {
  const options = alternatives(shape).filter(({ type }) => type !== 'null')
  if (options.length > 1) return describeAllowed(shape)
  const values = options.flatMap((option) => option.enum ?? (option.const === undefined ? [] : [option.const]))
  return values.length === 0 ? '' : `one of ${values.join(', ')}`
}

function bounds(shape: Shape): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = alternatives(shape)[0]
  const limits = [
    exclusiveMinimum !== undefined && `> ${exclusiveMinimum}`,
    minimum !== undefined && minimum > -Number.MAX_SAFE_INTEGER && `≥ ${minimum}`,
    exclusiveMaximum !== undefined && `< ${exclusiveMaximum}`,
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && `≤ ${maximum}`,
  ]
  return limits.filter((limit) => limit !== false).join(', ')
}

function defaultNote({ default: value }: Shape): string {
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return ''
  return `default ${asTyped(value)}`
}

/** A value as a person would type it behind its flag. */
function asTyped(value: unknown): string {
  if (Array.isArray(value)) return value.map(asTyped).join(',')
  const isTiny = typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-4
  return isTiny ? value.toExponential() : String(value)
}
