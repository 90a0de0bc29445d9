import { PlumblineError } from '@plumbline/contracts'
import { RE2JS } from 're2js'
import type { SpanFinder } from './guard.ts'

/** Instructions of a compiled RE2 program, as re2js 2.10 numbers them. */
const op = { alt: 1, altMatch: 2, capture: 3, emptyWidth: 4, fail: 5, match: 6, nop: 7, firstRune: 8, lastRune: 11 }

interface Instruction {
  readonly op: number
  readonly out: number
  readonly arg: number
  matchRune(codePoint: number): boolean
}

const maxPatternChars = 2000
/** Bounded repetitions multiply; a program beyond this would be slow on every text. */
const maxInstructions = 5000

/** A regular expression in RE2's syntax, matched in time linear in the text whatever the expression is. */
export function regexFinder(source: string, label: string, { ignoreCase = false } = {}): SpanFinder {
  const wrong = (reason: string, hint: string) =>
    new PlumblineError('GUARD_REGEX', `The regular expression ${JSON.stringify(source.slice(0, 80))} ${reason}.`, {
      hint,
    })
  if (source.length > maxPatternChars) throw wrong('is too long', `At most ${maxPatternChars} characters.`)
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0)
  } catch (cause) {
    throw wrong(`is not one: ${(cause as Error).message}`, 'RE2 has no back-references and no look-around.')
  }
  const { inst, start } = compiled.re2().prog as { inst: readonly Instruction[]; start: number }
  if (inst.length > maxInstructions)
    throw wrong('is too large', 'Repeat less: {1,1000} is written out a thousand times.')
  if (compiled.matcher('').find()) throw wrong('matches the empty text', 'Let it ask for one character at least.')
  const runes = inst.filter(({ op: code }) => code >= op.firstRune && code <= op.lastRune)
  return {
    maxLength: longestMatch(inst, start),
    holds: remembering((codePoint) => runes.some((instruction) => instruction.matchRune(codePoint))),
    find: (text, from) => {
      const matcher = compiled.matcher(text)
      for (let at = from; at <= text.length && matcher.find(at); at = matcher.end() + 1) {
        if (matcher.end() > matcher.start()) return { start: matcher.start(), end: matcher.end(), label }
      }
      return undefined
    },
  }
}

/** The longest way through a program, two units a character; Infinity where it can go in circles. */
function longestMatch(inst: readonly Instruction[], start: number): number {
  const known = new Map<number, number>()
  const open = new Set<number>()
  // Programs are far deeper than the stack may be, so the walk keeps its own.
  const walk = [{ at: start, isLeaving: false }]
  while (walk.length > 0) {
    const { at, isLeaving } = walk.pop()!
    const instruction = inst[at]
    const next = nextOf(instruction)
    if (isLeaving) {
      open.delete(at)
      const isRune = instruction.op >= op.firstRune && instruction.op <= op.lastRune
      known.set(at, Math.max(0, ...next.map((to) => known.get(to) ?? 0)) + (isRune ? 2 : 0))
      continue
    }
    if (known.has(at) || open.has(at)) continue
    open.add(at)
    walk.push({ at, isLeaving: true })
    for (const to of next) {
      if (open.has(to)) return Number.POSITIVE_INFINITY
      if (!known.has(to)) walk.push({ at: to, isLeaving: false })
    }
  }
  return known.get(start) ?? 0
}

function nextOf({ op: code, out, arg }: Instruction): number[] {
  if (code === op.alt || code === op.altMatch) return [out, arg]
  return code === op.match || code === op.fail ? [] : [out]
}

/** Answers for the characters of the basic plane are kept: a stream asks for the same ones again and again. */
function remembering(ask: (codePoint: number) => boolean): (codePoint: number) => boolean {
  const known = new Map<number, boolean>()
  return (codePoint) => {
    const kept = known.get(codePoint)
    if (kept !== undefined) return kept
    const answer = ask(codePoint)
    if (known.size < 4096) known.set(codePoint, answer)
    return answer
  }
}
