/** npm run simulate -- <simulation> [--json] [--only figure,figure] [--runs N] [--seed N] */
import { parseArgs } from 'node:util'
import { nearest, PlumblineError } from '@plumbline/contracts'
import { detectors } from './simulations/detectors.ts'
import type { Simulation, SimulationLine } from './simulations/simulation.ts'

const simulations: readonly Simulation[] = [detectors]

const say = (text: string) => process.stdout.write(`${text}\n`)

function main(args: readonly string[]): void {
  const { positionals, values } = parsed(args)
  if (positionals.length === 0) {
    say(listSimulations())
    return
  }
  if (positionals.length > 1)
    throw new PlumblineError('USAGE_SIMULATE', `One simulation at a time, not ${positionals.join(' and ')}.`)
  const simulation = find('simulation', positionals[0], simulations)
  const wanted = values.only?.split(',') ?? simulation.figures.map(({ name }) => name)
  const figures = wanted.map((name) => find('figure', name, simulation.figures))
  const runs = wholeNumber('runs', values.runs ?? '2000', 1)
  const seed = wholeNumber('seed', values.seed ?? '1', 0)
  for (const figure of figures) {
    const started = performance.now()
    const found = figure.run({ runs, seed })
    const { name, goal } = figure
    const line: SimulationLine = {
      name,
      value: rounded(found.value),
      goal: goal?.text ?? null,
      met: goal ? goal.isMet(found.value) : null,
      runs,
      seed,
      seconds: rounded((performance.now() - started) / 1000),
      ...found.details,
    }
    say(values.json ? JSON.stringify(line) : formatted(figure.title, line))
  }
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const
  const options = { json: { type: 'boolean' }, only: text, runs: text, seed: text } as const
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (cause) {
    throw new PlumblineError('USAGE_FLAG', (cause as Error).message, {
      hint: 'npm run simulate says what there is.',
      cause,
    })
  }
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least || text.trim() === '')
    throw new PlumblineError('USAGE_NUMBER', `--${flag} ${text} is not a whole number from ${least}.`)
  return value
}

function find<T extends { readonly name: string }>(what: string, name: string, among: readonly T[]): T {
  const names = among.map((one) => one.name)
  const found = among.find((one) => one.name === name)
  if (found) return found
  const meant = nearest(name, names)
  throw new PlumblineError('USAGE_UNKNOWN', `There is no ${what} ${name}.`, {
    hint: meant ? `Did you mean ${meant}?` : `There are: ${names.join(', ')}.`,
  })
}

function listSimulations(): string {
  const lines = simulations.flatMap(({ name, summary, figures }) => [
    `${name}: ${summary}`,
    ...figures.map((figure) => `  ${figure.name.padEnd(34)}${figure.title}`),
  ])
  return `npm run simulate -- <simulation> [--json] [--only figure,figure] [--runs N] [--seed N]\n\n${lines.join('\n')}`
}

function formatted(title: string, { value, goal, met, runs, seconds }: SimulationLine): string {
  const verdict = met === null ? '' : met ? ', met' : ', MISSED'
  return `${title}: ${value}${goal === null ? '' : ` (goal ${goal}${verdict})`}; ${runs} runs, ${seconds} s`
}

/** Four significant digits: more would be noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

try {
  main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof PlumblineError)) throw error
  process.stderr.write(`error[${error.code}]: ${error.message}${error.hint ? `\nhint: ${error.hint}` : ''}\n`)
  process.exitCode = 1
}
