import { spawnSync } from 'node:child_process'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readEvents } from './event-file.test-support.ts'
import { type OpenRunOptions, openRunFolder, type RunFolder } from './run-folder.ts'
import { runOptions, save, startTraining, type Training, trainStep } from './training-loop.test-support.ts'

let base: string
let folder: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'plumbline-run-'))
  folder = join(base, 'run')
})
afterEach(() => rm(base, { recursive: true, force: true }))

const open = (options: Partial<OpenRunOptions> = {}, path = folder) => openRunFolder(path, runOptions(options))
const record = async () => JSON.parse(await readFile(join(folder, 'run.json'), 'utf8'))
const steps = async () => (await readdir(join(folder, 'checkpoints'))).sort()

/** Opens, loads, trains up to `until` and saves there; the run stays open. */
async function trainTo(until: number, options: Partial<OpenRunOptions> = {}): Promise<[RunFolder, Training]> {
  const run = await open(options)
  const training = startTraining(await run.loadCheckpoint())
  while (training.step < until) trainStep(run, training)
  await save(run, training)
  return [run, training]
}

test('a folder that holds something else is left alone', async () => {
  await mkdir(folder)
  await writeFile(join(folder, 'thesis.tex'), 'x')
  await expect(open()).rejects.toMatchObject({
    code: 'RUN_FOLDER_NOT_EMPTY',
    message: expect.stringContaining('thesis.tex'),
  })
  expect(await readdir(folder)).toEqual(['thesis.tex'])
  await expect(open({}, join(folder, 'thesis.tex'))).rejects.toMatchObject({ code: 'RUN_FOLDER_NOT_EMPTY' })
  await expect(open({}, join(folder, 'thesis.tex', 'run'))).rejects.toMatchObject({ code: 'RUN_NOT_WRITABLE' })
})

test('the folder of a new run', async () => {
  let config = ''
  const writeConfig = async (path: string) => {
    config = path
  }
  const run = await open({ resume: false, writeConfig })
  expect([run.state, config, await run.loadCheckpoint()]).toEqual(['new', folder, undefined])
  run.logMetrics(5, { loss: Number.NaN, grad_norm: -Infinity, epoch: 0.5 })
  run.logSamples(5, [{ prompt: 'a', completion: 'b', reward: Number.NaN }])
  await run.finish({ writeModel: (path) => mkdir(path) })
  await run.close()
  await run.close()
  expect((await readdir(folder)).sort()).toEqual(['metrics.jsonl', 'model', 'run.json', 'samples.jsonl', 'tensorboard'])
  expect(await readFile(join(folder, 'metrics.jsonl'), 'utf8')).toBe(
    '{"global_step":5,"epoch":0.5,"loss":"NaN","grad_norm":"-Infinity"}\n',
  )
  expect(await readFile(join(folder, 'samples.jsonl'), 'utf8')).toBe(
    '{"global_step":5,"prompt":"a","completion":"b","reward":"NaN"}\n',
  )
  const time = '2023-11-14T22:13:20.000Z'
  expect(await record()).toMatchObject({ command: 'sft', status: 'finished', started: time, step: null, error: null })
  const [events] = await readdir(join(folder, 'tensorboard'))
  const [version, scalars, texts] = readEvents(await readFile(join(folder, 'tensorboard', events)))
  expect(version).toMatchObject({ fileVersion: 'brain.Event:2', wallTime: 1_700_000_000 })
  expect(scalars.scalars).toEqual([
    ['loss', Number.NaN],
    ['grad_norm', -Infinity],
    ['epoch', 0.5],
  ])
  expect(texts.texts[0]).toMatchObject({ shape: [2, 3], cells: ['prompt', 'completion', 'reward', 'a', 'b', 'NaN'] })
})

test('metrics reach the disk without a checkpoint', async () => {
  const run = await open()
  run.logMetrics(1, { loss: 1 })
  const text = () => readFile(join(folder, 'metrics.jsonl'), 'utf8')
  await expect.poll(text, { timeout: 3500 }).toBe('{"global_step":1,"loss":1}\n')
  await run.close()
})

test('two runs in one folder: the second is told who is in it', async () => {
  const run = await open()
  const refused = { code: 'RUN_IN_USE', message: `${folder} is in use by process ${process.pid} on ${hostname()}.` }
  await expect(open()).rejects.toMatchObject(refused)
  await expect(open({ resume: false })).rejects.toMatchObject(refused)
  await run.close()
})

test('a run that computed nothing is in nobody’s way, and what others put there stays; one that did is not written over', async () => {
  const fail = async (work: (run: RunFolder) => Promise<unknown>, options: Partial<OpenRunOptions> = {}) => {
    const run = await open({ resume: false, ...options })
    expect([run.state, await run.loadCheckpoint()]).toEqual(['new', undefined])
    await work(run)
    await run.fail(new PlumblineError('EMPTY_PROMPT', 'row 3'))
    await run.close()
  }
  const again = () => open({ resume: false })
  const exists = { code: 'RUN_EXISTS' }
  await fail(async () => {})
  await writeFile(join(folder, 'notes.txt'), 'mine')
  expect(await record()).toMatchObject({ status: 'failed', step: null })
  // Of another command too.
  await fail(async () => {}, { command: 'reward' })
  // As kill -9 leaves it.
  await writeFile(join(folder, 'run.json'), JSON.stringify({ ...(await record()), status: 'running' }))
  await fail(async (run) => run.logMetrics(1, { loss: 1 }))
  expect(await readFile(join(folder, 'notes.txt'), 'utf8')).toBe('mine')
  await expect(again()).rejects.toMatchObject(exists)
  expect(await readFile(join(folder, 'metrics.jsonl'), 'utf8')).toBe('{"global_step":1,"loss":1}\n')

  await rm(folder, { recursive: true })
  await fail((run) => run.saveCheckpoint({ step: 1, arrays: new Map(), state: {} }))
  // Killed before run.json told of the checkpoint.
  await writeFile(join(folder, 'run.json'), JSON.stringify({ ...(await record()), step: null }))
  await expect(again()).rejects.toMatchObject(exists)
  await rm(join(folder, 'checkpoints'), { recursive: true })
  await mkdir(join(folder, 'model'))
  await expect(again()).rejects.toMatchObject(exists)
  await rm(join(folder, 'model'), { recursive: true })
  await (await again()).close()
})

test('the lock of a dead process is taken over, also when its number went to another', async () => {
  await (await open()).close()
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  await writeFile(join(folder, '.lock'), JSON.stringify({ id: 'dead', pid: dead, host: hostname() }))
  const run = await open()
  const owner = JSON.parse(await readFile(join(folder, '.lock'), 'utf8'))
  await run.close()
  if (owner.process === undefined) return
  const earlier = { ...owner, id: 'earlier', process: owner.process.replace(/\d+$/, '1') }
  await writeFile(join(folder, '.lock'), JSON.stringify(earlier))
  const began = performance.now()
  await (await open()).close()
  expect(performance.now() - began).toBeLessThan(5000)
})

test('a run is resumed by its own command, with its own configuration', async () => {
  const [run] = await trainTo(2)
  await run.close()
  const before = await record()
  await expect(open({ command: 'ppo' })).rejects.toMatchObject({ code: 'RUN_OTHER_COMMAND' })
  const config = { learning_rate: 0.2, max_steps: 40, logging_steps: 2 }
  await expect(open({ config })).rejects.toMatchObject({
    code: 'CONFIG_DIFFERS',
    message: expect.stringMatching(/learning_rate: 0\.1 in the run, 0\.2 now$/),
  })
  expect(await record()).toEqual(before)
  const resumed = await open({ config: { ...config, learning_rate: 0.1, max_steps: 50 } })
  expect(await resumed.loadCheckpoint()).toMatchObject({ step: 2 })
  await resumed.close()
})

test('a checkpoint that was copied from another run is refused', async () => {
  const [run] = await trainTo(2)
  await run.close()
  const other = await open({ config: { learning_rate: 0.5 } }, join(base, 'other'))
  await other.close()
  await cp(join(folder, 'checkpoints'), join(base, 'other', 'checkpoints'), { recursive: true })
  const resumed = await open({ config: { learning_rate: 0.5 } }, join(base, 'other'))
  await expect(resumed.loadCheckpoint()).rejects.toMatchObject({ code: 'CONFIG_DIFFERS' })
  await resumed.close()
})

test('resume says when there is no checkpoint to resume from', async () => {
  const said: string[] = []
  const run = await open({ warn: (text) => said.push(text) })
  expect([run.state, said]).toEqual(['new', []])
  run.logMetrics(1, { loss: 1 })
  await run.close()
  const again = await open({ warn: (text) => said.push(text) })
  expect(() => again.logMetrics(1, { loss: 1 })).toThrow('before its checkpoint was loaded')
  expect(await again.loadCheckpoint()).toBeUndefined()
  expect(said[0]).toBe(`The run in ${folder} wrote no checkpoint: it starts from step 0.`)
  again.logMetrics(1, { loss: 2 })
  await again.close()
  expect(await readFile(join(folder, 'metrics.jsonl'), 'utf8')).toBe('{"global_step":1,"loss":2}\n')
})

test('a finished run stays as it is, unless it is to go further', async () => {
  const [run] = await trainTo(3)
  await run.finish()
  await run.close()
  const before = await record()
  const again = await open()
  expect([again.state, (await again.loadCheckpoint())?.step]).toEqual(['finished', 3])
  expect(() => again.logMetrics(4, { loss: 1 })).toThrow('finished')
  await again.fail(new Error('late'))
  await again.close()
  expect(await record()).toEqual(before)
  const further = await open({ config: { learning_rate: 0.1, max_steps: 60, logging_steps: 1 } })
  expect(further.state).toBe('resumed')
  await further.close()
})

test('how a run ended is noted', async () => {
  const run = await open()
  await run.fail(new PlumblineError('LOSS_NOT_FINITE', 'The loss is NaN.'))
  const error = { code: 'LOSS_NOT_FINITE', message: 'The loss is NaN.' }
  expect(await record()).toMatchObject({ status: 'failed', error })
  await run.close()
  const [stopped] = await trainTo(2)
  await stopped.fail(new PlumblineError('INTERRUPTED', 'Stopped by SIGINT.'))
  await stopped.close()
  expect(await record()).toMatchObject({ status: 'interrupted', step: 2, error: null })
  await expect(open({ resume: false })).rejects.toThrow('plumb sft, interrupted, newest checkpoint of step 2.')
})

test('the newest checkpoints stay, and the best', async () => {
  const run = await open({ keep: 2, best: 'lowest' })
  const training = startTraining(undefined)
  for (const metric of [3, 1, 2, Number.NaN, 1]) {
    trainStep(run, training)
    await save(run, training, metric)
  }
  await run.close()
  expect(await steps()).toEqual(['step-00000002', 'step-00000004', 'step-00000005'])
  const again = await open({ keep: 1, best: 'lowest' })
  expect(await again.loadCheckpoint()).toMatchObject({ step: 5, metric: 1 })
  expect(await again.loadBestCheckpoint()).toMatchObject({ step: 2, metric: 1 })
  await save(again, { ...training, step: 6 }, 7)
  expect(await steps()).toEqual(['step-00000002', 'step-00000006'])
  await again.close()
})

test('a run that goes on with a lower limit makes room before it writes', async () => {
  const run = await open({ keep: 4 })
  const training = startTraining(undefined)
  for (let i = 0; i < 4; i++) {
    trainStep(run, training)
    await save(run, training)
  }
  await run.close()
  expect(await steps()).toHaveLength(4)
  const again = await open({ keep: 1 })
  const { step, arrays } = (await again.loadCheckpoint())!
  const unwritable = { step: step + 1, arrays, state: { count: 1n as never } }
  await expect(again.saveCheckpoint(unwritable)).rejects.toThrow('state.count')
  expect(await steps()).toEqual(['step-00000004'])
  await again.close()
})

test('the same step may be saved again', async () => {
  const [run, training] = await trainTo(4)
  trainStep(run, { ...training, step: 3 })
  training.weights[0] = 77
  await save(run, training)
  await run.close()
  const again = await open()
  expect((await again.loadCheckpoint())?.arrays.get('weights')?.[0]).toBe(77)
  expect(await steps()).toEqual(['step-00000004'])
  await again.close()
})

const damages: [string, (checkpoint: string) => Promise<void>][] = [
  ['a flipped bit in the arrays', (path) => flip(join(path, 'arrays.safetensors'), 300)],
  ['a flipped bit in the header', (path) => flip(join(path, 'arrays.safetensors'), 20)],
  ['a flipped bit in the state', (path) => flip(join(path, 'state.json'), -8)],
  ['arrays that are cut short', (path) => truncate(join(path, 'arrays.safetensors'), 100)],
  ['no arrays', (path) => rm(join(path, 'arrays.safetensors'))],
  ['no state', (path) => rm(join(path, 'state.json'))],
  ['a state of nothing', (path) => writeFile(join(path, 'state.json'), 'null')],
]

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at < 0 ? bytes.length + at : at] ^= 1
  await writeFile(path, bytes)
}

test.each(damages)('the newest checkpoint with %s is skipped and named', async (_, damage) => {
  const [run, training] = await trainTo(2)
  trainStep(run, training)
  await save(run, training)
  await run.close()
  await damage(join(folder, 'checkpoints', 'step-00000003'))
  const said: string[] = []
  const again = await open({ warn: (text) => said.push(text) })
  const restored = startTraining(await again.loadCheckpoint())
  expect(restored.step).toBe(2)
  expect(said).toEqual([expect.stringMatching(/step-00000003.*It is skipped\.$/)])
  trainStep(again, restored)
  await save(again, restored)
  await again.close()
  expect(restored.weights).toEqual(training.weights)
  expect((await readFile(join(folder, 'metrics.jsonl'), 'utf8')).match(/global_step":\d+/g)).toHaveLength(3)
  await damage(join(folder, 'checkpoints', 'step-00000002'))
  await damage(join(folder, 'checkpoints', 'step-00000003'))
  const last = await open()
  await expect(last.loadCheckpoint()).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' })
  await last.close()
})

test('killed between the two renames of a replacement, the old checkpoint is the one', async () => {
  const [run] = await trainTo(4, { keep: 1 })
  await run.close()
  const checkpoints = join(folder, 'checkpoints')
  await cp(join(checkpoints, 'step-00000004'), join(checkpoints, '.step-00000004.old'), { recursive: true })
  await cp(join(checkpoints, 'step-00000004'), join(checkpoints, '.step-00000004.draft'), { recursive: true })
  await rm(join(checkpoints, 'step-00000004'), { recursive: true })
  const again = await open()
  expect(await again.loadCheckpoint()).toMatchObject({ step: 4 })
  expect(await steps()).toEqual(['step-00000004'])
  await again.close()
})

test('a state that JSON cannot hold is refused before anything is written', async () => {
  const run = await open()
  const state = { best: [1, -Infinity] }
  await expect(run.saveCheckpoint({ step: 1, arrays: new Map(), state })).rejects.toThrow('state.best[1] is -Infinity')
  expect(await readdir(folder)).not.toContain('checkpoints')
  await run.close()
})

test('who lost the folder writes no more', async () => {
  const run = await open()
  await writeFile(join(folder, '.lock'), JSON.stringify({ id: 'other', pid: process.pid, host: hostname() }))
  await expect.poll(() => run.signal.aborted, { timeout: 4000 }).toBe(true)
  expect(() => run.logMetrics(1, { loss: 1 })).toThrow(expect.objectContaining({ code: 'LOCK_LOST' }))
  await run.fail(new Error('x'))
  expect(await record()).toMatchObject({ status: 'running' })
  await run.close()
})

/** A crash: what is on the disk at this moment goes on in another folder, with steps of a later time at the end of each log. */
async function crash(run: RunFolder, to: string): Promise<void> {
  await cp(run.path, to, { recursive: true })
  await rm(join(to, '.lock'), { force: true })
  const [events] = await readdir(join(to, 'tensorboard'))
  for (const log of ['metrics.jsonl', 'samples.jsonl', join('tensorboard', events)]) {
    // Longer than all that follows, so nothing writes over its end.
    await appendFile(join(to, log), '{"global_step":99}\n'.repeat(1000))
  }
  await run.close()
}

async function logsOf(path: string): Promise<string[]> {
  const [events, ...others] = await readdir(join(path, 'tensorboard'))
  expect(others).toEqual([])
  const files = ['metrics.jsonl', 'samples.jsonl', join('tensorboard', events)]
  return Promise.all(files.map((file) => readFile(join(path, file), 'latin1')))
}

test('after any steps, saves and crashes the logs are those of a run that was never interrupted', async () => {
  const action = fc.constantFrom('step', 'step', 'step', 'save', 'crash', 'stop')
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
      const place = await mkdtemp(join(base, 'case-'))
      let turn = 0
      let run = await open({ keep: 2 }, join(place, '0'))
      let training = startTraining(await run.loadCheckpoint())
      const resume = async (path: string) => {
        run = await open({ keep: 2 }, path)
        training = startTraining(await run.loadCheckpoint())
      }
      const apply = async (what: string) => {
        if (what === 'step') trainStep(run, training)
        if (what === 'save') await save(run, training)
        if (what === 'crash') {
          const next = join(place, String(++turn))
          await crash(run, next)
          await resume(next)
        }
        if (what === 'stop') {
          await run.interrupt()
          await run.close()
          await resume(run.path)
        }
      }
      for (const what of actions) await apply(what)
      while (training.step < 12) trainStep(run, training)
      await run.finish()
      await run.close()
      const straight = await open({}, join(place, 'straight'))
      const reference = startTraining(undefined)
      while (reference.step < training.step) trainStep(straight, reference)
      await straight.finish()
      await straight.close()
      expect(training).toEqual(reference)
      expect(await logsOf(run.path)).toEqual(await logsOf(straight.path))
    }),
    { numRuns: 40 },
  )
}, 120_000)
