import { z } from 'zod'
import type { RewardModel } from '../../reward-model.ts'
import type { Direction, Guard, GuardMode, Source } from '../guard.ts'
import { parseSettings } from '../parse-settings.ts'

/** What every guard is configured with, whatever its kind. */
export const commonSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'is small letters, digits, _ and -')
    .optional(),
  mode: z.enum(['observe', 'block', 'redact', 'replace']),
  direction: z.enum(['input', 'output', 'both']).default('both'),
  endpoints: z
    .array(z.enum(['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/embeddings']))
    .min(1)
    .optional(),
  sources: z
    .array(
      z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'request', 'text', 'reasoning', 'refusal', 'call']),
    )
    .min(1)
    .optional(),
  timeout_ms: z.number().int().min(1).max(60_000).optional(),
  on_error: z.enum(['allow', 'block']).default('block'),
  replacement: z.string().min(1).max(4_000).default('I cannot help with that.'),
  calibration: z
    .strictObject({
      sensitivity: z.strictObject({ hits: z.number().int().min(0), n: z.number().int().min(1) }),
      specificity: z.strictObject({ hits: z.number().int().min(0), n: z.number().int().min(1) }),
      dataset: z.string().min(1).max(500),
      date: z.iso.date(),
    })
    .optional(),
})

/** What a kind of guard makes of its own settings. */
export type Built = Pick<Guard, 'look' | 'version'> & Partial<Pick<Guard, 'calibration' | 'isLowWorse'>>

/** Sends JSON, gives JSON. Aborts with the signal. */
type PostJson = (body: unknown, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<unknown>

/** What a guard may use of the world outside. */
export interface GuardWorld {
  /** Gives what sends JSON there. Throws what is wrong with the address; a private one may lead into private networks. */
  openEndpoint(url: string, isPrivate: boolean): PostJson
  /** A secret, by the name of the environment variable that holds it. */
  secret(variable: string): string | undefined
  readonly rewardModel?: RewardModel | undefined
}

export interface GuardKind {
  readonly modes: readonly GuardMode[]
  /** Its place in the order: what is cheap looks first. */
  readonly layer: number
  /** Whose text it reads where the configuration does not say. */
  readonly sources?: readonly Source[]
  /** What it can look at; both when left out. */
  readonly directions?: readonly Direction[]
  /** How long it may take where the configuration does not say; a second when left out. */
  readonly timeoutMs?: number
  /** `place` is where the settings stand, for errors. */
  build(settings: unknown, place: string, world: GuardWorld): Built
}

interface KindDefinition<Settings> extends Omit<GuardKind, 'build'> {
  readonly schema: z.ZodType<Settings>
  build(settings: Settings, world: GuardWorld): Built
}

export function defineKind<Settings>({ schema, build, ...facts }: KindDefinition<Settings>): GuardKind {
  return { ...facts, build: (settings, place, world) => build(parseSettings(schema, settings, place), world) }
}

/** Windows of so many characters, overlapping by half; 0 looks at the whole text at once. */
export const windowSchema = z.number().int().min(0).max(20_000)

export function lookBy(window: number, judge: Extract<Guard['look'], { judge: unknown }>['judge']): Guard['look'] {
  return window === 0 ? { by: 'whole', judge } : { by: 'windows', size: window, stride: Math.ceil(window / 2), judge }
}
