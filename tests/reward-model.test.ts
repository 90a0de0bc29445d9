/** A reward model beside the gateway: its process by itself, then guards that go by it. */
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { startRewardModel } from '@plumbline/inference'
import { createRewardScorer, encodeChatCompletion, loadLanguageModel, scoredIds } from '@plumbline/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from '../packages/gateway/src/gateway.test-support.ts'
import { openGuardWorld, readGuards } from '../packages/gateway/src/index.ts'
import { runCli } from '../packages/plumbline/src/cli.ts'
import { commands } from '../packages/plumbline/src/commands.ts'
import { takeGlobals } from '../packages/plumbline/src/flags.ts'
import { createMemoryWorld } from '../packages/plumbline/src/memory-world.ts'
import { scale, startTinyReward, type TinyReward } from './tiny-reward.ts'
import { writeTinyModel } from './trainers/tiny-models.ts'

let reward: TinyReward
beforeAll(async () => {
  reward = await startTinyReward({ maxWaiting: 1 })
}, 600_000)
afterAll(() => reward?.close(), 60_000)

const never = new AbortController().signal
const asked = [
  { role: 'system', content: 'Be short.' },
  { role: 'user', content: 'Well?' },
]
const answers = ['Yes.', 'No, never, not at all.', 'I do not know']

describe('the process of a reward model', () => {
  test('rewards are those of the model itself, over mean and deviation', async () => {
    const model = await loadLanguageModel(reward.path)
    const scorer = await createRewardScorer(model.config, model.parameters)
    const chats = answers.map((content) =>
      scoredIds(encodeChatCompletion(model.tokenizer, asked, [{ role: 'assistant', content }]), model),
    )
    const expected = (await scorer.rewards(chats)).map((value) => (value - scale.mean) / scale.std)
    const given = await reward.model.score(asked, answers, never)
    for (const [i, value] of given.entries()) expect(value).toBeCloseTo(expected[i], 4)
    expect(new Set(given.map((value) => value.toFixed(3))).size).toBe(3)
    const promptIds = model.tokenizer.encode('Well, ')
    const completionIds = model.tokenizer.encode('yes')
    const [text] = await scorer.rewards([scoredIds({ promptIds, completionIds }, model)])
    const [plain] = await reward.model.score('Well, ', ['yes'], never)
    expect(plain).toBeCloseTo((text - scale.mean) / scale.std, 4)
    await scorer.dispose()
  })

  test('what is too long fails by itself', async () => {
    const long = reward.model.score(asked, ['a'.repeat(600)], never)
    await expect(long).rejects.toMatchObject({ code: 'REWARD_TEXT_TOO_LONG' })
    const unsent = reward.model.score(asked, ['a'.repeat(300_000)], never)
    await expect(unsent).rejects.toMatchObject({ code: 'REWARD_TEXT_TOO_LONG' })
    expect(await reward.model.score(asked, ['fine'], never)).toHaveLength(1)
  })

  test('calls wait, one more than may is refused, and one that nobody waits for leaves', async () => {
    reward.signal('SIGSTOP')
    const first = reward.model.score(asked, ['a'], never)
    const giving = new AbortController()
    const second = reward.model.score(asked, ['b'], giving.signal)
    expect(reward.model.state()).toEqual({ isUp: true, waiting: 2 })
    await expect(reward.model.score(asked, ['c'], never)).rejects.toMatchObject({ code: 'REWARD_MODEL_BUSY' })
    giving.abort(new Error('given up'))
    await expect(second).rejects.toThrow('given up')
    const third = reward.model.score(asked, ['d'], never)
    reward.signal('SIGCONT')
    expect([await first, await third].flat()).toHaveLength(2)
    expect(reward.model.state()).toEqual({ isUp: true, waiting: 0 })
  })

  test('a long call that nobody waits for is broken off', async () => {
    const long = Array.from({ length: 360 }, (_, i) => `${i} ${'a b '.repeat(60)}`)
    const timed = async (work: Promise<unknown>) => {
      const begun = performance.now()
      await work
      return performance.now() - begun
    }
    const whole = await timed(reward.model.score(asked, long, never))
    const giving = new AbortController()
    const given = reward.model.score(asked, long, giving.signal)
    giving.abort(new Error('given up'))
    await expect(given).rejects.toThrow('given up')
    expect(await timed(reward.model.score(asked, ['a'], never))).toBeLessThan(0.7 * whole)
  }, 120_000)

  test('one that dies is there again; calls in between fail at once', async () => {
    const pid = reward.pid()
    reward.signal('SIGSTOP')
    const lost = [reward.model.score(asked, ['a'], never), reward.model.score(asked, ['b'], never)]
    reward.signal('SIGKILL')
    const ends = await Promise.allSettled(lost)
    expect(ends).toMatchObject([1, 2].map(() => ({ status: 'rejected', reason: { code: 'REWARD_MODEL_AWAY' } })))
    await expect(reward.model.score(asked, ['c'], never)).rejects.toMatchObject({ code: 'REWARD_MODEL_AWAY' })
    await expect.poll(() => reward.model.state().isUp, { timeout: 120_000, interval: 50 }).toBe(true)
    expect(reward.pid()).not.toBe(pid)
    expect(await reward.model.score(asked, ['d'], never)).toHaveLength(1)
    expect(reward.warnings).toEqual([expect.stringContaining('the reward model has ended (SIGKILL)')])
  }, 150_000)

  test('one that hangs is killed', async () => {
    const other = await startTinyReward({ stuckMs: 200 })
    try {
      other.signal('SIGSTOP')
      const call = other.model.score(asked, ['a'], never)
      await expect(call).rejects.toMatchObject({ code: 'REWARD_MODEL_AWAY' })
    } finally {
      await other.close()
    }
  }, 60_000)

  test('another kind of model, and none, are told', async () => {
    const options = { name: '--reward-model x', warn: () => {}, signal: never }
    const plain = await writeTinyModel(join(dirname(reward.path), 'plain'))
    await expect(startRewardModel({ path: plain, ...options })).rejects.toMatchObject({
      code: 'NOT_A_REWARD_MODEL',
      message: expect.stringContaining('--reward-model x has no score.weight'),
    })
    const nowhere = startRewardModel({ path: join(plain, 'nowhere'), ...options })
    await expect(nowhere).rejects.toMatchObject({ name: 'PlumblineError', hint: expect.any(String) })
  }, 60_000)
})

describe('guards by reward', () => {
  let harness: Harness
  beforeAll(async () => {
    harness = await startHarness()
  }, 600_000)
  afterAll(() => harness?.close(), 60_000)

  const text = 'The capital is Paris.'
  const open = (settings: object) => {
    const guards = readGuards([{ kind: 'reward', ...settings }], openGuardWorld({}, reward.model))
    return harness.open({ guards }, { rewardModel: reward.model })
  }
  const base64 = (value: string) => Buffer.from(value).toString('base64')
  const event = (value: object) => base64(`data: ${JSON.stringify(value)}\n\n`)
  const done = base64('data: [DONE]\n\n')
  const head = { id: 'x', created: 1, model: 'pieces' }
  const words = text.split(/(?= )/)
  const paths = {
    '/v1/chat/completions': {
      request: { messages: asked },
      whole: { choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }] },
      events: [
        ...words.map((content) => event({ ...head, choices: [{ index: 0, delta: { content }, finish_reason: null }] })),
        event({ ...head, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
        done,
      ],
      question: asked,
    },
    '/v1/completions': {
      request: { prompt: 'Well, ' },
      whole: { choices: [{ index: 0, text, finish_reason: 'stop' }] },
      events: [
        ...words.map((word) => event({ ...head, choices: [{ index: 0, text: word, finish_reason: null }] })),
        event({ ...head, choices: [{ index: 0, text: '', finish_reason: 'stop' }] }),
        done,
      ],
      question: 'Well, ',
    },
  } as const
  type Path = keyof typeof paths

  const ask = async (gateway: Awaited<ReturnType<typeof open>>, path: Path, isStream: boolean) => {
    const { request, whole, events } = paths[path]
    const pieces = isStream ? events : [base64(JSON.stringify({ ...head, ...whole }))]
    const body = { model: 'pieces', stream: isStream, pieces, ...request }
    const response = await gateway.post(path, JSON.stringify(body))
    const given = await response.text()
    const { guards } = await harness.recordOf(({ record }) => record === response.headers.get('x-request-id'))
    return { given, verdicts: guards.map((verdict) => ({ ...verdict, ms: 0, score: verdict.score?.toFixed(3) })) }
  }

  test.each(Object.keys(paths) as Path[])('%s: the same verdict streamed and not', async (path) => {
    const [score] = await reward.model.score(paths[path].question, [text], never)
    for (const [threshold, outcome] of [
      [score + 0.01, 'blocked'],
      [score - 0.01, 'passed'],
    ] as const) {
      const gateway = await open({ mode: 'block', threshold })
      const whole = await ask(gateway, path, false)
      const streamed = await ask(gateway, path, true)
      expect(whole.verdicts).toMatchObject([{ name: 'reward', direction: 'output', outcome, score: score.toFixed(3) }])
      expect(streamed.verdicts).toEqual(whole.verdicts)
      for (const { given } of [whole, streamed]) {
        expect(given.includes('capital')).toBe(outcome === 'passed')
        expect(given.includes('content_filter')).toBe(outcome === 'blocked')
      }
    }
  })

  test('replace gives its own text, observe only notes', async () => {
    const replacing = await open({ mode: 'replace', threshold: 1e6, replacement: 'Something else.' })
    const observing = await open({ mode: 'observe', threshold: 1e6 })
    for (const isStream of [false, true]) {
      const replaced = await ask(replacing, '/v1/chat/completions', isStream)
      expect(replaced.given).toContain('Something else.')
      expect(replaced.given).not.toContain('capital')
      const observed = await ask(observing, '/v1/chat/completions', isStream)
      expect(observed.given).toContain('capital')
      expect(observed.verdicts).toMatchObject([{ outcome: 'flagged', label: 'low_reward' }])
    }
  })

  test('of several answers the worst is on record', async () => {
    const texts = answers.slice(0, 3)
    const scores = await reward.model.score(asked, texts, never)
    const gateway = await open({ mode: 'observe', threshold: -1e6 })
    const body = JSON.stringify({ model: 'several', n: 3, texts, messages: asked })
    const response = await gateway.post('/v1/chat/completions', body)
    await response.text()
    const { guards } = await harness.recordOf(({ record }) => record === response.headers.get('x-request-id'))
    expect(guards[0].score).toBeCloseTo(Math.min(...scores), 4)
  })

  test.each([
    ['block', 'blocked'],
    ['allow', 'error'],
  ])('a model that does not answer in time: on_error %s', async (on_error, outcome) => {
    const gateway = await open({ mode: 'block', threshold: -1e6, timeout_ms: 100, on_error })
    reward.signal('SIGSTOP')
    try {
      for (const isStream of [false, true]) {
        const { given, verdicts } = await ask(gateway, '/v1/chat/completions', isStream)
        expect(given.includes('capital')).toBe(outcome === 'error')
        expect(verdicts).toMatchObject([{ outcome, error: 'no verdict within 100 ms' }])
      }
      expect(await gateway.metric('plumbline_reward_model_waiting')).toBe(1)
    } finally {
      reward.signal('SIGCONT')
    }
  })

  test('one that is away: told by /readyz, /metrics and the verdict', async () => {
    const gateway = await open({ mode: 'block', threshold: -1e6 })
    expect(await (await gateway.get('/readyz')).json()).toMatchObject({ reward_model: 'ok' })
    reward.signal('SIGKILL')
    await expect.poll(() => reward.model.state().isUp, { interval: 10 }).toBe(false)
    expect(await (await gateway.get('/readyz')).json()).toMatchObject({ reward_model: 'away' })
    expect(await gateway.metric('plumbline_reward_model_up')).toBe(0)
    const { verdicts } = await ask(gateway, '/v1/chat/completions', false)
    expect(verdicts).toMatchObject([{ outcome: 'blocked', error: expect.stringContaining('is started again') }])
    await expect.poll(() => reward.model.state().isUp, { timeout: 120_000, interval: 50 }).toBe(true)
    expect((await ask(gateway, '/v1/chat/completions', false)).verdicts).toMatchObject([{ outcome: 'passed' }])
  }, 150_000)

  test('plumb guards test counts with it', async () => {
    const folder = dirname(reward.path)
    const rows = answers.map((answer) => ({ prompt: 'Well?', text: answer }))
    const scores = await reward.model.score([{ role: 'user', content: 'Well?' }], answers, never)
    const threshold = scores.toSorted((a, b) => a - b)[1]
    const labelled = rows.map((row, i) => JSON.stringify({ ...row, label: scores[i] < threshold }))
    await writeFile(join(folder, 'rows.jsonl'), labelled.join('\n'))
    await writeFile(join(folder, 'guards.yaml'), `- kind: reward\n  mode: block\n  threshold: ${threshold - 0.001}\n`)
    const line = ['guards', 'test', '--guards', 'guards.yaml', '--data', 'rows.jsonl', '--reward-model', reward.path]
    const { globals, rest } = takeGlobals([...line, '--json'])
    const memory = createMemoryWorld(globals, { cwd: folder })
    expect(await runCli(rest, globals, commands, memory.world), memory.stderr()).toBe(0)
    expect(JSON.parse(memory.stdout())).toMatchObject({
      sensitivity: { hits: 1, n: 1 },
      specificity: { hits: 2, n: 2 },
      errors: 0,
    })
  }, 60_000)
})
