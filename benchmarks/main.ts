/** npm run bench -- <bench> [--json] [--only figure,figure] [--runs N] [--quick] … */
import { parseArgs } from 'node:util'
import { nearest, PlumblineError } from '@plumbline/contracts'
import type { Bench } from './bench.ts'
import { engine } from './engine.ts'
import { type Figure, type FigureLine, figureLine } from './figure.ts'
import { gateway } from './gateway.ts'
import { guards } from './guards.ts'
import { localModel } from './local-model.ts'
import { monitor } from './monitor.ts'
import { formatTable } from './report.ts'
import { trainers } from './trainers.ts'

const benches: readonly Bench[] = [engine, trainers, guards, gateway, localModel, monitor]

const log = (text: string) => process.stderr.write(`${text}\n`)

async function main(args: readonly string[]): Promise<void> {
  const { name, json, wanted, ...options } = readCommandLine(args)
  if (name === undefined) {
    process.stdout.write(listBenches())
    return
  }
  const bench = find('bench', name, benches)
  for (const figure of wanted ?? []) find('figure', figure, bench.figures)
  const rows: [Figure, FigureLine][] = []
  const record: Parameters<Bench['run']>[1] = (figure, measurement) => {
    const line = figureLine(figure, measurement)
    rows.push([figure, line])
    if (json) process.stdout.write(`${JSON.stringify(line)}\n`)
    else log(`  ${figure.title}: ${line.ours} ${line.unit}${line.ratio === null ? '' : `, ratio ${line.ratio}`}`)
  }
  await bench.run(wanted && new Set(wanted), record, { ...options, log })
  if (!json) process.stdout.write(`${formatTable(rows)}\n`)
}

function readCommandLine(args: readonly string[]) {
  const { values, positionals } = parsed(args)
  if (positionals.length > 1)
    throw new PlumblineError('USAGE_BENCH', `One bench at a time, not ${positionals.join(' and ')}.`)
  return {
    name: positionals[0],
    json: values.json ?? false,
    wanted: values.only?.split(','),
    isQuick: values.quick ?? false,
    runs: wholeNumber('runs', values.runs),
    rounds: wholeNumber('rounds', values.rounds),
    awaySeconds: wholeNumber('away', values.away),
    minutes: wholeNumber('minutes', values.minutes),
    filled: values.filled,
  }
}

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1) return value
  throw new PlumblineError(`USAGE_${flag.toUpperCase()}`, `--${flag} ${text} is not a whole number above 0.`)
}

const flags = {
  json: { type: 'boolean' },
  only: { type: 'string' },
  quick: { type: 'boolean' },
  runs: { type: 'string' },
  rounds: { type: 'string' },
  away: { type: 'string' },
  minutes: { type: 'string' },
  filled: { type: 'string' },
} as const
const usage = 'npm run bench -- <bench> [--json] [--only figure,figure] [--runs N]'
const gatewayUsage =
  'gateway and monitor: [--quick], gateway alone: [--rounds N] [--away SECONDS] [--minutes N], monitor alone: [--filled DIR]'

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true })
  } catch (cause) {
    throw new PlumblineError('USAGE_FLAG', (cause as Error).message, {
      hint: 'npm run bench says what there is.',
      cause,
    })
  }
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

function listBenches(): string {
  const lines = benches.flatMap(({ name, summary, figures }) => [
    `${name}: ${summary}`,
    ...figures.map((figure) => `  ${figure.name.padEnd(32)}${figure.title}, ${figure.unit}`),
  ])
  return `${usage}\n${gatewayUsage}\n\n${lines.join('\n')}\n`
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof PlumblineError)) throw error
  log(`error[${error.code}]: ${error.message}${error.hint ? `\nhint: ${error.hint}` : ''}`)
  process.exitCode = 1
}
