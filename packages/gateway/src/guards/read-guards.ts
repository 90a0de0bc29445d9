import { nearest } from '@plumbline/contracts'
import { wilson } from '@plumbline/evals'
import { z } from 'zod'
import type { Direction, Guard, GuardCalibration } from './guard.ts'
import { harm } from './kinds/harm.ts'
import { http } from './kinds/http.ts'
import { judge } from './kinds/judge.ts'
import { commonSchema, type GuardKind, type GuardWorld } from './kinds/kind.ts'
import { personalData } from './kinds/personal-data.ts'
import { promptInjection } from './kinds/prompt-injection.ts'
import { refusal } from './kinds/refusal.ts'
import { reward } from './kinds/reward.ts'
import { rules } from './kinds/rules.ts'
import { parseSettings, wrongGuard } from './parse-settings.ts'

/** All kinds of guards, by the name that a configuration gives them. */
const guardKinds = {
  rules,
  'personal-data': personalData,
  'prompt-injection': promptInjection,
  refusal,
  harm,
  judge,
  reward,
  http,
} satisfies Record<string, GuardKind>

/** Guards, and what is done with what no guard can read, such as images. */
export interface GuardSet {
  readonly guards: readonly Guard[]
  readonly unreadable: 'refuse' | 'allow'
}

const maxGuards = 50
const setSchema = z.strictObject({
  unreadable: z.enum(['refuse', 'allow']).default('refuse'),
  guards: z
    .array(z.looseObject({ kind: z.string() }))
    .min(1)
    .max(maxGuards),
})

/** Reads the section `guards` of a configuration: `{ unreadable?, guards: [{ kind, mode, … }] }`, or the list alone. */
export function readGuards(config: unknown, world: GuardWorld): GuardSet {
  const { unreadable, guards } = parseSettings(setSchema, Array.isArray(config) ? { guards: config } : config, 'guards')
  const read = guards.map((entry, i) => readGuard(entry, `guards[${i}]`, world))
  const names = read.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw wrongGuard('guards', `the name ${twice} stands twice: give each a "name" of its own`)
  return { guards: read, unreadable }
}

function readGuard({ kind, ...entry }: { kind: string }, place: string, world: GuardWorld): Guard {
  if (!Object.hasOwn(guardKinds, kind)) {
    const meant = nearest(kind, Object.keys(guardKinds))
    throw wrongGuard(
      place,
      `there is no kind ${kind}`,
      meant ? `Did you mean ${meant}?` : `There are: ${Object.keys(guardKinds).join(', ')}.`,
    )
  }
  const found: GuardKind = guardKinds[kind as keyof typeof guardKinds]
  const isCommon = (key: string) => Object.hasOwn(commonSchema.shape, key)
  const pick = (wanted: boolean) =>
    Object.fromEntries(Object.entries(entry).filter(([key]) => isCommon(key) === wanted))
  const common = parseSettings(commonSchema, pick(true), place)
  if (!found.modes.includes(common.mode)) {
    throw wrongGuard(place, `kind ${kind} cannot ${common.mode}`, `It can: ${found.modes.join(', ')}.`)
  }
  const directions = directionsOf(common.direction, kind, found, place)
  const { look, version, calibration = 'uncalibrated', isLowWorse } = found.build(pick(false), place, world)
  return {
    name: common.name ?? kind,
    version,
    mode: common.mode,
    directions,
    endpoints: common.endpoints,
    sources: common.sources ?? found.sources,
    layer: found.layer,
    timeoutMs: common.timeout_ms ?? found.timeoutMs ?? 1_000,
    onError: common.on_error,
    replacement: common.replacement,
    calibration: common.calibration === undefined ? calibration : measured(common.calibration),
    isLowWorse,
    look,
  }
}

/** `both` is all that the kind can look at. */
function directionsOf(
  asked: 'input' | 'output' | 'both',
  kind: string,
  { directions = ['input', 'output'] }: GuardKind,
  place: string,
): readonly Direction[] {
  if (asked === 'both') return directions
  if (directions.includes(asked)) return [asked]
  throw wrongGuard(place, `kind ${kind} cannot look at ${asked}`, `It looks at ${directions.join(', ')}.`)
}

function measured({
  sensitivity,
  specificity,
  dataset,
  date,
}: NonNullable<z.output<typeof commonSchema>['calibration']>): GuardCalibration {
  const rate = (count: { hits: number; n: number }) => ({ ...wilson(count), n: count.n })
  return { sensitivity: rate(sensitivity), specificity: rate(specificity), dataset, date }
}
