/** What the trainers write, the server shows: a contract between two packages that do not know each other. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runDetailSchema } from '@plumbline/contracts'
import { openRuns } from '@plumbline/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCli } from '../../packages/plumbline/src/cli.ts'
import { commands } from '../../packages/plumbline/src/commands.ts'
import { takeGlobals } from '../../packages/plumbline/src/flags.ts'
import { createMemoryWorld } from '../../packages/plumbline/src/memory-world.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-shown-'))
const folder = join(base, 'runs')
afterAll(() => rmSync(base, { recursive: true, force: true }))
const model = join(base, 'model')
const rewardModel = join(base, 'reward-model')

async function train(name: string, command: string, rows: readonly object[], more: readonly string[] = []) {
  const data = join(base, `${name}.jsonl`)
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const args = ['--model', model, '--data', data, '--output', join(folder, name), '--max-steps', '3', '--seed', '1']
  const small = ['--per-device-train-batch-size', '2', '--logging-steps', '1']
  const { globals, rest } = takeGlobals([command, ...args, ...small, ...more])
  const memory = createMemoryWorld(globals, { cwd: base, availableMemory: () => Number.POSITIVE_INFINITY })
  return runCli(rest, globals, commands, memory.world)
}

const prompts = ['ab', 'cd', 'ef', 'gh']
beforeAll(async () => {
  await writeTinyModel(model)
  await writeTinyRewardModel(rewardModel, { mean: 0, std: 1 })
  const ppo = ['--reward-model', rewardModel, '--response-length', '3']
  const statuses = [
    await train(
      'sft',
      'sft',
      prompts.map((prompt) => ({ prompt, completion: `${prompt}!` })),
    ),
    await train(
      'pairs',
      'reward',
      prompts.map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' })),
      ['--eval-fraction', '0.5'],
    ),
    await train(
      'scores',
      'reward',
      prompts.map((prompt, score) => ({ prompt, completion: 'yes', score })),
      ['--eval-fraction', '0.5'],
    ),
    await train(
      'ppo',
      'ppo',
      prompts.map((prompt) => ({ prompt })),
      ppo,
    ),
    await train('failed', 'ppo', [{ prompt: 'x'.repeat(100) }], ppo),
  ]
  expect(statuses).toEqual([0, 0, 0, 0, 1])
}, 600_000)

async function shown(name: string) {
  const runs = openRuns({ folder })
  const { data } = await runs.list({ limit: 50 }, Date.now())
  const { id } = data.find((run) => run.name === name)!
  return runDetailSchema.parse(await runs.find(id, Date.now()))
}

const logged = (name: string) =>
  readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>)

test('every number that a trainer logs is in its curves', async () => {
  for (const name of ['sft', 'pairs', 'scores', 'ppo']) {
    const { curves, remarks, status, config, inputs } = await shown(name)
    expect({ status, remarks }, name).toEqual({ status: 'finished', remarks: [] })
    expect(config.seed, name).toBe(1)
    expect(
      inputs.map((input) => input.name),
      name,
    ).toEqual(expect.arrayContaining(['model', 'data']))
    for (const { global_step, ...row } of logged(name))
      for (const [metric, value] of Object.entries(row)) {
        if (['epoch', 'num_tokens', 'episode'].includes(metric)) continue
        const point = curves.find((curve) => curve.metric === metric)?.points.find(({ step }) => step === global_step)
        expect(point?.value, `${name} ${metric}`).toBeCloseTo(value, 4)
      }
  }
})

test('what a reward model is worth, sampled answers, and why a run failed', async () => {
  expect((await shown('pairs')).evaluation).toMatchObject({ kind: 'pairs', n: 2 })
  expect((await shown('scores')).evaluation).toMatchObject({ kind: 'scores', n: 2 })
  const { samples } = await shown('ppo')
  expect(prompts).toContain(samples[0].prompt)
  expect(samples[0]).toMatchObject({ step: 3, score: expect.any(Number), kl: expect.any(Number) })
  const failed = await shown('failed')
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'NOTHING_TO_LEARN' }, step: null, curves: [] })
})
