/** Which values of a configuration may change when a run is resumed. */
import { PlumblineError } from '@plumbline/contracts'
import type { JsonValue } from './json-value.ts'

/** The resolved values of a command by key. */
export type RunConfig = Readonly<Record<string, unknown>>

/** A top-level or nested key ("lora.rank") with the value of the run and the one given now; undefined: not set. */
export interface ConfigDifference {
  readonly key: string
  readonly before: JsonValue | undefined
  readonly now: JsonValue | undefined
}

const always = () => true
// A negative max_steps means that the epochs decide.
const notLess = (before: unknown, now: unknown) =>
  typeof before === 'number' && typeof now === 'number' && before >= 0 && now >= before
/** Whether the shorter run is the beginning of the longer one. Passes over openings, or contrasts, come last in both. */
const isPrefix = (before: unknown, now: unknown, { opening_epochs = 0, contrast_epochs = 0 }: RunConfig) =>
  opening_epochs === 0 && contrast_epochs === 0 && notLess(before, now)

/**
 * Keys that change neither the weights nor what is on the disk already: where and how often something is written, how
 * much of the machine is used, and how far the run goes.
 */
const harmless: Readonly<Record<string, (before: unknown, now: unknown, config: RunConfig) => boolean>> = {
  output: always,
  resume: always,
  allow_changed_inputs: always,
  logging_steps: always,
  sample_steps: always,
  // Which checkpoints there are decides which one can be the best.
  save_steps: (_before, _now, { load_best_model_at_end }) => load_best_model_at_end !== true,
  save_total_limit: always,
  threads: always,
  // They stop a run and change nothing of one that goes on.
  max_kl: always,
  max_score_change: always,
  max_steps: isPrefix,
  num_train_epochs: isPrefix,
}

/** All differences, in the order of the keys of the run, then the new ones. */
export function configDifferences(before: RunConfig, now: RunConfig): ConfigDifference[] {
  const old = flatten(plain(before))
  const current = flatten(plain(now))
  const keys = new Set([...old.keys(), ...current.keys()])
  return [...keys]
    .map((key) => ({ key, before: old.get(key), now: current.get(key) }))
    .filter((entry) => JSON.stringify(entry.before) !== JSON.stringify(entry.now))
}

/**
 * Throws CONFIG_DIFFERS with each key that must not change; `mayDiffer` names further keys that may. `startOver`: a
 * sentence that says how.
 */
export function checkConfig(
  path: string,
  before: RunConfig,
  now: RunConfig,
  { mayDiffer = [], startOver }: { mayDiffer?: readonly string[]; startOver?: string | undefined } = {},
): void {
  const wrong = configDifferences(before, now).filter(({ key, ...values }) => {
    const rule = Object.hasOwn(harmless, key) ? harmless[key] : undefined
    return !mayDiffer.includes(key) && !rule?.(values.before, values.now, now)
  })
  if (wrong.length === 0) return
  const show = (value: JsonValue | undefined) => (value === undefined ? 'not set' : shorten(JSON.stringify(value)))
  const lines = wrong.map(({ key, before, now }) => `\n  ${key}: ${show(before)} in the run, ${show(now)} now`)
  throw new PlumblineError('CONFIG_DIFFERS', `${path} was started with another configuration:${lines.join('')}`, {
    hint:
      startOver ?? `Resume with the values of the run (${path}/config.yaml), or start a new run with another --output.`,
  })
}

/** Whether the run is to go further than before. */
export function goesFurther(before: RunConfig, now: RunConfig): boolean {
  return configDifferences(before, now).some(
    ({ key, ...values }) => ['max_steps', 'num_train_epochs'].includes(key) && isPrefix(values.before, values.now, now),
  )
}

/** What JSON keeps of a value: undefined goes, dates become text. */
function plain(config: RunConfig): Record<string, JsonValue> {
  return JSON.parse(JSON.stringify(config))
}

function flatten(config: Readonly<Record<string, JsonValue>>, prefix = ''): Map<string, JsonValue> {
  const flat = new Map<string, JsonValue>()
  for (const [key, value] of Object.entries(config)) {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isObject) flat.set(prefix + key, value)
    else
      for (const [inner, item] of flatten(value as Record<string, JsonValue>, `${prefix}${key}.`)) flat.set(inner, item)
  }
  return flat
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
