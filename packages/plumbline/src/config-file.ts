import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { nearest, PlumblineError } from '@plumbline/contracts'
import { isMap, isNode, isScalar, LineCounter, parseDocument, stringify } from 'yaml'
import type { Field } from './fields.ts'
import type { Given } from './flags.ts'
import { readTextFile } from './text-file.ts'
import { version } from './version.ts'

const hint = 'Give --config a YAML file with one "key: value" a line.'

/** A config has a few dozen keys; more bytes than these are some other file. */
const configFile = { code: 'USAGE_CONFIG', maxBytes: 1 << 20, hint }

/** Where saveResolvedConfig notes who wrote the file; the one key that is no field of a schema. */
const originKey = 'plumbline'

/** Reads a YAML config: the values by field name, each with its file and line. */
export async function readConfigFile(path: string, command: string, fields: readonly Field[], cwd: string) {
  const lines = new LineCounter()
  const document = parseDocument(await readTextFile(path, { ...configFile, cwd }), {
    lineCounter: lines,
    uniqueKeys: false,
  })
  const at = (offset: number | undefined) => `${path}:${offset === undefined ? 1 : lines.linePos(offset).line}`
  const [broken] = document.errors
  if (broken !== undefined) {
    throw new PlumblineError('USAGE_CONFIG_SYNTAX', `${at(broken.pos[0])}: not YAML: ${firstLine(broken.message)}.`, {
      hint: 'A config is one "key: value" a line.',
    })
  }
  const values = new Map<string, Given>()
  const firstLines = new Map<string, number>()
  if (document.contents === null) return values
  if (!isMap(document.contents)) {
    throw new PlumblineError('USAGE_CONFIG_SYNTAX', `${path}: a config must be "key: value" lines.`, { hint })
  }
  for (const { key: keyNode, value: node } of document.contents.items) {
    const offset = isNode(keyNode) ? keyNode.range?.[0] : undefined
    const written = isScalar(keyNode) ? String(keyNode.value) : ''
    const name = written.replaceAll('-', '_')
    const first = firstLines.get(name)
    if (first !== undefined) throw duplicateKey(written, at(offset), first)
    firstLines.set(name, offset === undefined ? 1 : lines.linePos(offset).line)
    const value = isNode(node) ? readValue(node.toJS.bind(node, document), at(offset)) : null
    if (written === originKey) {
      checkOrigin(value, command, at(offset))
      continue
    }
    if (!fields.some((field) => field.name === name)) throw unknownKey(written, at(offset), fields)
    values.set(name, { value, source: at(isNode(node) ? node.range?.[0] : offset) })
  }
  return values
}

/** Aliases that multiply without end make the library throw; the user shall see where. */
function readValue(toJs: () => unknown, place: string): unknown {
  try {
    return toJs()
  } catch (cause) {
    const reason = cause instanceof Error ? firstLine(cause.message) : String(cause)
    throw new PlumblineError('USAGE_CONFIG_SYNTAX', `${place}: ${reason}.`, {
      hint: 'Write the value out instead of using aliases (*name).',
      cause,
    })
  }
}

function unknownKey(key: string, place: string, fields: readonly Field[]): PlumblineError {
  const names = fields.map(({ name }) => name)
  const meant = nearest(key.replaceAll('-', '_'), names)
  return new PlumblineError('USAGE_UNKNOWN_KEY', `${place}: there is no key "${key}".`, {
    hint:
      meant !== undefined
        ? `Did you mean ${meant}?`
        : names.length === 0
          ? 'This command has no keys.'
          : `Known keys: ${names.join(', ')}.`,
  })
}

/** The later value would win and nobody be told. `max-steps` and `max_steps` are one key. */
function duplicateKey(key: string, place: string, firstLine: number): PlumblineError {
  return new PlumblineError(
    'USAGE_DUPLICATE_KEY',
    `${place}: the key "${key}" is given twice, first on line ${firstLine}.`,
    {
      hint: 'Remove one of the two lines.',
    },
  )
}

function checkOrigin(origin: unknown, command: string, place: string): void {
  const writer = (origin as { command?: unknown } | null)?.command
  if (writer === undefined || writer === command) return
  throw new PlumblineError('USAGE_CONFIG_COMMAND', `${place}: this config is of "plumb ${writer}".`, {
    hint: `Use it with plumb ${writer}, or remove the key "${originKey}" to use its values with plumb ${command}.`,
  })
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0].replace(/[.:]\s*$/, '')
}

/**
 * Writes `config.yaml` with every resolved value, so that `--config FOLDER/config.yaml` repeats the run. The file
 * appears whole or not at all, after a power cut too.
 */
export async function saveResolvedConfig(
  folder: string,
  command: string,
  config: Readonly<Record<string, unknown>>,
): Promise<void> {
  const text = stringify(
    { [originKey]: { command, version }, ...config },
    { lineWidth: 0, aliasDuplicateObjects: false },
  )
  await mkdir(folder, { recursive: true })
  const path = join(folder, 'config.yaml')
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
