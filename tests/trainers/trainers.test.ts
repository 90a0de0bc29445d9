/** What holds for every trainer, on two-layer models. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadLanguageModel, openSafetensors } from '@plumbline/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CaseRun, type TrainerCase, trainers, writeModels } from './registry.ts'
import { hashOf } from './run-trainer.ts'

const base = mkdtempSync(join(tmpdir(), 'plumbline-trainers-'))
let runs = 0
const newFolder = () => join(base, `run-${runs++}`)

/** Enough weights to be trained on all cores (`threadsFor` in program.ts); the others are on one. */
const wide = join(base, 'wide')

/** Whatever they say first ends their answer. */
const silent = join(base, 'silent')

beforeAll(async () => {
  await writeModels(base)
  await writeModels(silent, { eos_token_id: Array.from({ length: 99 }, (_, id) => id) })
  await writeModels(wide, { hidden_size: 128, intermediate_size: 256 })
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

/** All that a run leaves behind, for comparison. */
async function traceOf(folder: string, run: CaseRun) {
  if (!run.result) throw run.error
  return { weights: hashOf(run.result.weights), ...(await filesOf(folder)) }
}

/** Logs, and the weights, moments and state of the last checkpoint. */
async function filesOf(folder: string) {
  const [last] = (await readdir(join(folder, 'checkpoints'))).sort().slice(-1)
  const text = (...path: string[]) => readFile(join(folder, ...path), 'latin1')
  return {
    metrics: await text('metrics.jsonl'),
    samples: await text('samples.jsonl'),
    state: JSON.parse(await text('checkpoints', last, 'state.json')).checkpoint.state,
    arrays: createHash('sha256')
      .update(await text('checkpoints', last, 'arrays.safetensors'))
      .digest('hex'),
  }
}

/** The plain run of a trainer, made once: a second one must be made to be compared with it. */
const plainRuns = new Map<TrainerCase, ReturnType<typeof finishedRun>>()
function plainRun(trainer: TrainerCase): ReturnType<typeof finishedRun> {
  const run = plainRuns.get(trainer) ?? finishedRun(trainer)
  plainRuns.set(trainer, run)
  return run
}

async function finishedRun(trainer: TrainerCase, changes?: Record<string, unknown>) {
  const folder = newFolder()
  const run = await trainer.run({ models: base, folder }, changes)
  if (run.error) throw run.error
  return { ...run, trace: await traceOf(folder, run), result: run.result! }
}

const curveOf = (trainer: TrainerCase, metrics: CaseRun['metrics']) =>
  metrics.flatMap((line) => (trainer.curve in line ? [line[trainer.curve]] : []))

describe.each(Object.entries<TrainerCase>(trainers))('%s', (name, trainer) => {
  test(`${trainer.curve} ${trainer.direction}`, async () => {
    const { metrics } = await finishedRun(trainer, { max_steps: 20 })
    const curve = curveOf(trainer, metrics)
    expect(curve).toHaveLength(20)
    const meanOf = (part: readonly number[]) => part.reduce((sum, x) => sum + x, 0) / part.length
    const rise = meanOf(curve.slice(-4)) - meanOf(curve.slice(0, 4))
    expect(trainer.direction === 'rises' ? rise : -rise).toBeGreaterThan(0.3)
  })

  test('the same seed gives the same bytes, another one does not', async () => {
    const [first, again, other] = [
      await plainRun(trainer),
      await finishedRun(trainer),
      await finishedRun(trainer, { seed: 7 }),
    ]
    expect(again.trace).toEqual(first.trace)
    expect(other.trace.weights).not.toBe(first.trace.weights)
    expect(other.trace.metrics).not.toBe(first.trace.metrics)
  })

  test('interrupted after every step and resumed each time, a run ends as if it never was', async () => {
    const folder = newFolder()
    for (let stopAfter = 0; stopAfter < trainer.steps; stopAfter++) {
      const stopped = await trainer.run({ models: base, folder }, {}, { stopAfter, resume: stopAfter > 0 })
      expect(stopped.error?.code).toBe('INTERRUPTED')
      expect([stopped.began, stopped.steps]).toEqual(stopAfter === 0 ? [0, 0] : [stopAfter - 1, 1])
    }
    const resumed = await trainer.run({ models: base, folder }, {}, { resume: true })
    expect([resumed.began, resumed.steps]).toEqual([trainer.steps - 1, 1])
    expect(await traceOf(folder, resumed)).toEqual((await plainRun(trainer)).trace)
  })

  test('so it does on all cores', async () => {
    const [straight, stopped] = [newFolder(), newFolder()]
    const whole = await trainer.run({ models: wide, folder: straight })
    await trainer.run({ models: wide, folder: stopped }, {}, { stopAfter: 2 })
    const resumed = await trainer.run({ models: wide, folder: stopped }, {}, { resume: true })
    expect(await traceOf(stopped, resumed)).toEqual(await traceOf(straight, whole))
  })

  test.runIf(trainer.hasEvaluation)(
    'a checkpoint has the metric of its own step, also after an interrupt',
    async () => {
      const folder = newFolder()
      // Evaluated after 2 and 4, saved after each; stopped after 4.
      await trainer.run({ models: base, folder }, { save_steps: 1 }, { stopAfter: 4 })
      const metricOf = async (step: number) => {
        const path = join(folder, 'checkpoints', `step-0000000${step}`, 'state.json')
        return JSON.parse(await readFile(path, 'utf8')).checkpoint.metric
      }
      expect(await metricOf(3)).toBeNull()
      expect(await metricOf(4)).toEqual(expect.any(Number))
    },
  )

  test.runIf(trainer.hasEvaluation)(
    'load_best_model_at_end: the weights are those of the lowest eval_loss, also after an interrupt',
    async () => {
      // So fast that training goes astray.
      const changes = { load_best_model_at_end: true, learning_rate: 0.3, max_steps: 8, save_steps: 2 }
      const { metrics, result, trace, said } = await finishedRun(trainer, changes)
      const measured = metrics.filter((line) => 'eval_loss' in line)
      const [best] = measured.toSorted((a, b) => a.eval_loss - b.eval_loss)
      expect(best.global_step).toBeLessThan(8)
      expect(said.join()).toContain(`The model is that of step ${best.global_step}, `)
      const last = await finishedRun(trainer, { ...changes, load_best_model_at_end: false })
      expect(trace.metrics).toBe(last.trace.metrics)
      expect(trace.arrays).toBe(last.trace.arrays)
      expect(trace.weights).not.toBe(last.trace.weights)
      expect(trace.weights).toBe(hashOf(result.weights))
      for (const stopAfter of [best.global_step, 7]) {
        const folder = newFolder()
        await trainer.run({ models: base, folder }, changes, { stopAfter })
        const saved = await openSafetensors(
          join(folder, 'checkpoints', `step-0000000${best.global_step}`, 'arrays.safetensors'),
        )
        const [name, { data }] = [...result.weights][0]
        expect((await saved.readTensor(`parameter.${name}`)).data).toEqual(new Float32Array(data))
        await saved.close()
        const resumed = await trainer.run({ models: base, folder }, changes, { resume: true })
        expect(await traceOf(folder, resumed)).toEqual(trace)
      }
    },
  )

  test('killed at random moments, a run ends as if it never was', async () => {
    const [straight, killed] = [newFolder(), newFolder()]
    const steps = 12
    const start = (folder: string) => {
      const program = join(import.meta.dirname, 'registry.ts')
      return spawn(process.execPath, [program, name, base, folder, String(steps)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
    }
    await trainer.run({ models: base, folder: straight }, { max_steps: steps })
    let kills = 0
    for (;;) {
      const child = start(killed)
      const ended = once(child, 'close')
      await Promise.race([once(child.stdout, 'data'), ended])
      if (kills < 2) {
        await Promise.race([sleep(Math.random() * 100), ended])
        if (child.exitCode === null) kills += Number(child.kill('SIGKILL'))
      }
      await ended
      if (child.exitCode !== null) break
    }
    expect(kills).toBeGreaterThan(0)
    expect(await filesOf(killed)).toEqual(await filesOf(straight))
  }, 120_000)

  test('micro-batches change nothing but rounding', async () => {
    // One step: later ones would carry the rounding of AdamW's first, where the smallest gradient moves a weight fully.
    const [whole, cut] = [
      await finishedRun(trainer, { max_steps: 1, num_ppo_epochs: 1, num_mini_batches: 1, micro_batch_tokens: 4096 }),
      await finishedRun(trainer, { max_steps: 1, num_ppo_epochs: 1, num_mini_batches: 1, micro_batch_tokens: 1 }),
    ]
    expect(cut.metrics).toHaveLength(whole.metrics.length)
    whole.metrics.forEach((line, i) => {
      for (const [key, value] of Object.entries(line)) {
        // After the update.
        if (key.startsWith('eval_')) continue
        expect(Math.abs(cut.metrics[i][key] - value), key).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)))
      }
    })
  })

  test('rows of which nothing is learned change nothing', async () => {
    const folder = newFolder()
    const run = await trainer.run({ models: base, folder }, {}, { also: 'idle' })
    expect(run.said.join('\n')).toMatch(/\d of \d+ \w+ .* left out/)
    expect(await traceOf(folder, run)).toEqual((await plainRun(trainer)).trace)
  })

  test('empty answers are survived, of the data and of the model', async () => {
    const folder = newFolder()
    const { error, metrics, result } = await trainer.run({ models: silent, folder }, {}, { also: 'empty' })
    expect(error).toBeUndefined()
    expect(metrics.flatMap((line) => Object.values(line)).every(Number.isFinite)).toBe(true)
    for (const [key, { data }] of result!.weights) expect(data.every(Number.isFinite), key).toBe(true)
  })

  test('a weight that becomes infinite stops it with the step and its rows; the good checkpoint stays', async () => {
    const folder = newFolder()
    const { error, steps } = await trainer.run({ models: base, folder }, {}, { poisonAfter: 3 })
    expect(steps).toBe(3)
    expect(error).toMatchObject({ code: 'NOT_FINITE', message: expect.stringMatching(/^step 4: .* rows are \d+, \d+/) })
    expect(error?.hint).toContain('earlier steps are good')
    expect(await readdir(join(folder, 'checkpoints'))).toEqual(['step-00000002'])
    expect(JSON.parse(await readFile(join(folder, 'run.json'), 'utf8'))).toMatchObject({ status: 'failed', step: 2 })
    const resumed = await trainer.run({ models: base, folder }, {}, { resume: true })
    expect(await traceOf(folder, resumed)).toEqual((await plainRun(trainer)).trace)
  })

  test('weights that are not finite never reach a checkpoint', async () => {
    const folder = newFolder()
    const changes = { learning_rate: 1e38, max_grad_norm: 1e30, save_steps: 1, warmup_steps: 0 }
    const { error } = await trainer.run({ models: base, folder }, changes)
    expect(error?.code).toMatch(/NOT_FINITE|POLICY_RAN_AWAY/)
    for (const checkpoint of await readdir(join(folder, 'checkpoints')).catch(() => [])) {
      const file = await openSafetensors(join(folder, 'checkpoints', checkpoint, 'arrays.safetensors'))
      for (const tensor of file.tensors.keys())
        if (tensor.startsWith('parameter.'))
          expect((await file.readTensor(tensor)).data.every(Number.isFinite)).toBe(true)
      await file.close()
    }
  })

  test.runIf(trainer.hasLora)('LoRA trains the adapter alone', async () => {
    const untouched = hashOf((await loadLanguageModel(join(base, 'model'))).parameters)
    const { result, trace } = await finishedRun(trainer, { use_peft: true, lora_r: 4 })
    expect(hashOf(result.base)).toBe(untouched)
    const names = [...result.adapter!.keys()]
    expect(names.length).toBeGreaterThan(0)
    for (const key of names) expect(key).toMatch(/\.lora_[AB]\.weight$/)
    for (const [key, { data }] of result.adapter!)
      expect(
        data.some((x) => x !== 0),
        key,
      ).toBe(true)
    expect(trace.weights).not.toBe(untouched)
  })
})
