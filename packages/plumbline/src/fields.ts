import { z } from 'zod'

/** The part of JSON Schema that a config field or a data column may use. */
export interface Shape {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Shape[]
  readonly items?: Shape
  readonly properties?: Readonly<Record<string, Shape>>
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly minItems?: number
  readonly default?: unknown
  readonly description?: string
  /** `.meta({ commas: false })`: a comma is part of the text, several values only by repetition. */
  readonly commas?: boolean
}

/** One key of a config schema, as flags, help and messages need it. */
export interface Field {
  readonly name: string
  readonly shape: Shape
  readonly isRequired: boolean
}

/** The keys of an object schema in their order. */
export function fieldsOf(schema: z.ZodObject): Field[] {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as unknown as {
    properties?: Record<string, Shape>
    required?: string[]
  }
  const required = new Set(json.required)
  return Object.entries(json.properties ?? {}).map(([name, shape]) => ({
    name,
    shape,
    isRequired: required.has(name),
  }))
}

/** The alternatives of a union, or the shape alone. */
export function alternatives(shape: Shape): readonly Shape[] {
  return shape.anyOf?.flatMap(alternatives) ?? [shape]
}

export function isBoolean(shape: Shape): boolean {
  return alternatives(shape).some(({ type }) => type === 'boolean')
}

export function isList(shape: Shape): boolean {
  return alternatives(shape).some(({ type }) => type === 'array')
}

export function isNumeric(shape: Shape): boolean {
  return alternatives(shape).some(({ type, items }) => isNumberType(type) || (items !== undefined && isNumeric(items)))
}

function isNumberType(type: string | undefined): boolean {
  return type === 'number' || type === 'integer'
}

/** The shape of a part of a value: of an item of a list, of a key of an object. */
export function shapeAt(shape: Shape, path: readonly PropertyKey[]): Shape {
  return path.reduce<Shape>((whole, step) => {
    const part = alternatives(whole).find(({ items, properties }) => (items ?? properties) !== undefined)
    const found = typeof step === 'number' ? part?.items : part?.properties?.[String(step)]
    // Of a list of plain values the whole list is told.
    return found === undefined || (typeof step === 'number' && found.properties === undefined) ? whole : found
  }, shape)
}

/** What a field accepts, for a sentence: "an integer, at least 1" or "cosine, linear or constant". */
export function describeAllowed(shape: Shape): string {
  const parts = alternatives(shape).map(describeOne)
  return [...new Set(parts)].join(' or ')
}

function describeOne(shape: Shape): string {
  if (shape.const !== undefined) return JSON.stringify(shape.const)
  if (shape.enum !== undefined) return joinOr(shape.enum.map(String))
  if (shape.type === 'array')
    return [`a list of ${itemsOf(shape)}`, ...((shape.minItems ?? 0) > 0 ? ['not empty'] : [])].join(', ')
  const names: Record<string, string> = {
    integer: 'an integer',
    number: 'a number',
    string: 'text',
    boolean: 'true or false',
    null: 'null',
    object: 'an object',
  }
  const noun = names[shape.type ?? ''] ?? 'a value'
  return [noun, ...bounds(shape)].join(', ')
}

function itemsOf({ items }: Shape): string {
  const plurals: Record<string, string> = { integer: 'integers', number: 'numbers', string: 'texts', object: 'objects' }
  return items === undefined ? 'values' : (plurals[items.type ?? ''] ?? describeAllowed(items))
}

function joinOr(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** Limits that somebody set; zod's own limit of an integer (2^53) is none. */
function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength }: Shape): string[] {
  const safe = Number.MAX_SAFE_INTEGER
  const hasMinimum = minimum !== undefined && minimum > -safe
  const hasMaximum = maximum !== undefined && maximum < safe
  const found: string[] = []
  if (hasMinimum && hasMaximum) found.push(`from ${minimum} to ${maximum}`)
  else if (hasMinimum) found.push(`at least ${minimum}`)
  else if (hasMaximum) found.push(`at most ${maximum}`)
  if (exclusiveMinimum !== undefined) found.push(`above ${exclusiveMinimum}`)
  if (exclusiveMaximum !== undefined) found.push(`below ${exclusiveMaximum}`)
  if (minLength !== undefined && minLength > 0) found.push('not empty')
  return found
}
