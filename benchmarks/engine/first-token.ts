/** What a person waits for: from a command to the first token on the terminal. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PlumblineError } from '@plumbline/contracts'
import { plumblineHome, pullModel } from '@plumbline/models'
import type { Section } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { interleave, type Side } from '../interleave.ts'
import { rootFolder } from '../paths.ts'
import { type EngineWorld, modelName } from './world.ts'

const PROMPT = 'The capital of France is'

const firstToken: Figure = {
  name: 'first_token',
  title: 'from the command to the first token',
  unit: 's',
  better: 'lower',
  goal: { atMost: 3 },
}

/** `npx plumb generate` against a Python script that does the same with transformers; the model lies on the disk. */
export const commandToFirstToken: Section<EngineWorld> = {
  figures: [firstToken],
  async run(world, record) {
    const [python, folder] = [await world.python(), await world.folder()]
    const script = fileURLToPath(new URL('../first_token_peer.py', import.meta.url))
    const ours: Side = () => plumbToFirstToken(rootFolder, userEnvironment())
    const peer: Side | undefined =
      python === undefined
        ? undefined
        : () => secondsToOutput(python, [script, folder, PROMPT], rootFolder, userEnvironment())
    const times = await interleave({ ours, peer }, { runs: world.runs(3) })
    record(firstToken, { ...times, peerName: 'transformers, python to its first token' })
  },
}

function installFigure(cache: 'cold' | 'warm'): Figure {
  return {
    name: `install_to_first_token_${cache}`,
    title: `from npm ci to the first token, npm's cache ${cache}`,
    unit: 's',
    better: 'lower',
    goal: { atMost: 60 },
  }
}
const cold = installFigure('cold')
const warm = installFigure('warm')

/** In a clone of HEAD, with a cache of npm's that is empty first and filled then. The weights are not downloaded. */
export const installToFirstToken: Section<EngineWorld> = {
  figures: [cold, warm],
  async run(world, record) {
    await pullModel(modelName, { home: plumblineHome(process.env), now: Date.now })
    const work = await mkdtemp(join(tmpdir(), 'plumbline-bench-'))
    try {
      const env = { ...userEnvironment(), npm_config_cache: join(work, 'npm-cache') }
      for (const figure of [cold, warm]) {
        const clone = join(work, figure.name)
        if ((await secondsOf('git', ['clone', '--quiet', rootFolder, clone], work, process.env)) === undefined) {
          world.log(`skipped: ${rootFolder} cannot be cloned with git.`)
          return
        }
        const install = await secondsOf('npm', ['ci'], clone, env)
        if (install === undefined) throw new PlumblineError('BENCH_COMMAND', `npm ci failed in ${clone}.`)
        const total = install + (await plumbToFirstToken(clone, env))
        record(figure, { ours: [total], details: { install_s: Number(install.toFixed(2)) } })
      }
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  },
}

function plumbToFirstToken(folder: string, env: NodeJS.ProcessEnv): Promise<number> {
  const args = ['plumb', 'generate', '--prompt', PROMPT, '--max-new-tokens', '8', '--temperature', '0']
  return secondsToOutput('npx', args, folder, env)
}

/** Seconds until the command writes something; it is let finish. Throws BENCH_COMMAND when it fails. */
function secondsToOutput(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const begun = performance.now()
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let seconds: number | undefined
  let complaint = ''
  child.stdout.on('data', () => {
    seconds ??= (performance.now() - begun) / 1000
  })
  child.stderr.on('data', (text) => {
    complaint += text
  })
  return new Promise((resolve, reject) => {
    const fail = (why: string) =>
      reject(new PlumblineError('BENCH_COMMAND', `"${[command, ...args].join(' ')}" ${why}\n${complaint}`))
    child.on('error', (error) => fail(`does not start: ${error.message}`))
    child.on('close', (code, signal) => {
      if (code === 0 && seconds !== undefined) resolve(seconds)
      else fail(`ended with ${code ?? signal}.`)
    })
  })
}

/** Seconds until the command is done; undefined when it fails. What it says goes to stderr. */
function secondsOf(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
  const begun = performance.now()
  return new Promise<number | undefined>((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 2, 2] })
    child.on('error', () => resolve(undefined))
    child.on('close', (code) => resolve(code === 0 ? (performance.now() - begun) / 1000 : undefined))
  })
}

/** As in a user's terminal: without what `npm run bench` put there, its PATH entries above all. */
function userEnvironment(): NodeJS.ProcessEnv {
  const fromNpm = /^npm_(package|lifecycle|command|execpath|node_execpath|config_local_prefix)|^INIT_CWD$/
  const kept = Object.entries(process.env).filter(([name]) => !fromNpm.test(name))
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !/node_modules[\\/]\.bin$/.test(folder))
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) }
}
