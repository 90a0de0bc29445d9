/**
 * Known bugs of PPO on language models, each with a test of the whole trainer that fails when the bug is put in; those
 * that are about a flag stand in ppo-settings.test.ts. The formulas have tests beside them too: GAE past the end, KL
 * estimators and their golden bandit, clipping, Adam's two kinds of epsilon.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { trainPpo } from '@plumbline/align'
import { ppoConfig } from '@plumbline/align/config'
import { compile, type ParameterMap } from '@plumbline/engine'
import {
  buildForward,
  createRewardScorer,
  forwardFeeds,
  type LanguageModel,
  loadLanguageModel,
  openSafetensors,
} from '@plumbline/models'
import { describe, expect, test } from 'vitest'
import {
  afterSampling,
  type Case,
  letters,
  meanOf,
  newFolder,
  type Ppo,
  ppo,
  prompts,
  stopAtLetters,
  tokensOf,
} from './ppo-runs.ts'
import { hashOf, runInFolder } from './run-trainer.ts'
import { writeTinyModel, writeTinyRewardModel } from './tiny-models.ts'

/** log softmax(logits / T) of the first token of an answer, for each token of the vocabulary. */
async function nextLogprobs({ config, tokenizer }: LanguageModel, parameters: ParameterMap, temperature: number) {
  const forward = buildForward(config)
  const program = await compile(forward.graph, { logits: forward.logits() }, { threads: 1 })
  return async (prompt: string) => {
    const ids = tokenizer.encode(prompt)
    const { logits } = await program.run({ ...Object.fromEntries(parameters), ...forwardFeeds(config, [ids]) })
    const last = Array.from(logits.data as Float32Array).slice(-config.vocabSize)
    const scaled = last.map((logit) => logit / temperature)
    const largest = Math.max(...scaled)
    const sum = scaled.reduce((total, x) => total + Math.exp(x - largest), 0)
    return scaled.map((x) => x - largest - Math.log(sum))
  }
}

describe.each([
  { of: 'the whole model', peft: {} },
  { of: 'an adapter with dropout', peft: { use_peft: true, lora_dropout: 0.5 } },
])('training $of', ({ peft }) => {
  test('LoRA reference, Temperature: at first KL is exactly 0', async () => {
    const { metrics } = await ppo(peft)
    expect(metrics[0]['objective/kl']).toBe(0)
    expect(metrics[0]['objective/non_score_reward']).toBeCloseTo(0, 12)
  })

  test('Dropout off: the first ratio of an iteration is 1, also of a policy that has moved', async () => {
    const { metrics } = await ppo({ ...peft, max_steps: 3, learning_rate: 0.02 })
    expect(metrics[2]['objective/kl']).not.toBe(0)
    for (const line of metrics) {
      expect(Math.abs(line['val/ratio'] - 1)).toBeLessThan(1e-6)
      expect(line['val/ratio_var']).toBeLessThan(1e-9)
      expect(Math.abs(line['policy/approxkl_avg'])).toBeLessThan(1e-9)
    }
  })

  test('Temperature, Fresh old logprobs, frozen reference: entropy and KL are those of logits / T', async () => {
    const options = { ...peft, response_length: 1, temperature: 0.6, learning_rate: 0.01, seed: 5 }
    const trained = await ppo({ ...options, max_steps: 1 })
    const run = await ppo({ ...options, max_steps: 2 })
    const model = await loadLanguageModel(run.policyPath)
    const now = await nextLogprobs(model, trained.weights!, 0.6)
    const ref = await nextLogprobs(model, model.parameters, 0.6)
    const kls: number[] = []
    const logprobs: number[] = []
    for (const { prompt, completion, kl } of run.samples) {
      expect(completion).toHaveLength(1)
      const id = model.tokenizer.encode(completion)[0]
      const [policyLogprob, refLogprob] = [(await now(prompt))[id], (await ref(prompt))[id]]
      expect(kl).toBeCloseTo(policyLogprob - refLogprob, 4)
      kls.push(kl)
      logprobs.push(policyLogprob)
    }
    expect(kls).toHaveLength(8)
    expect(Math.max(...kls.map(Math.abs))).toBeGreaterThan(0.01)
    expect(run.metrics[1]['objective/kl']).toBeCloseTo(meanOf(kls), 6)
    expect(run.metrics[1]['objective/entropy']).toBeCloseTo(-meanOf(logprobs), 4)
  })
})

test('Pad is not EOS: a tokenizer whose pad token is its end token trains the same', async () => {
  const changes = { response_length: 6, max_steps: 2, num_ppo_epochs: 2 }
  // Few tokens, so that the end token is among the answers.
  const characters = [...'abcdefghijklmno-()+12']
  const same = await ppo(changes, { policy: { characters, padToken: '<|im_end|>' } })
  const own = await ppo(changes, { policy: { characters, padToken: '<|endoftext|>' } })
  expect(same.metrics[0]['val/num_eos_tokens']).toBeGreaterThan(0)
  expect(hashOf(same.weights!)).toBe(hashOf(own.weights!))
  expect(same.metrics).toEqual(own.metrics)
})

test('Truncate at stop token, RM scores last real token: the score is that of prompt, answer and stop token', async () => {
  const { samples, rewardModel } = await ppo({ seed: 6 }, { policy: stopAtLetters })
  const scorer = await createRewardScorer(rewardModel.config, rewardModel.parameters, { threads: 1 })
  const { encode } = rewardModel.tokenizer
  const endings = { stop: 0, length: 0 }
  for (const { prompt, completion, score, finish_reason } of samples) {
    endings[finish_reason]++
    expect(completion).not.toMatch(/[a-z]/)
    const ids = [...encode(prompt), ...encode(completion)]
    // The text does not show which letter ended it; one of them gives this score.
    const candidates = finish_reason === 'stop' ? letters.map((letter) => [...ids, letter]) : [ids]
    // Each alone: padding beside a longer answer would show.
    const rewards: number[] = []
    for (const candidate of candidates) rewards.push(...(await scorer.rewards([candidate])))
    expect(Math.min(...rewards.map((reward) => Math.abs(reward - score)))).toBeLessThan(1e-4)
    if (finish_reason === 'stop') expect(Math.abs((await scorer.rewards([ids]))[0] - score)).toBeGreaterThan(1e-3)
  }
  expect(endings.stop).toBeGreaterThan(0)
  expect(endings.length).toBeGreaterThan(0)
})

test('Missing-EOS handling: answers without the configured stop token pay, whatever the tokenizer says', async () => {
  const plain = await ppo({}, { policy: stopAtLetters })
  const penalized = await ppo({ missing_eos_penalty: 5 }, { policy: stopAtLetters })
  const ended = plain.samples.filter(({ finish_reason }) => finish_reason === 'stop').length
  expect(ended).toBeGreaterThan(0)
  expect(ended).toBeLessThan(8)
  expect(plain.metrics[0]['val/num_eos_tokens']).toBe(ended)
  const difference = plain.metrics[0]['objective/scores'] - penalized.metrics[0]['objective/scores']
  expect(difference).toBeCloseTo((5 * (8 - ended)) / 8, 9)
})

test('Where the score lands, Score normalisation, returns before whitening: the first value loss by hand', async () => {
  const lam = 0.5
  const { metrics, samples } = await ppo(
    { lam, seed: 6 },
    { policy: stopAtLetters, rewardModel: { mean: 0.7, std: 2 } },
  )
  // Values and KL are 0 at first, so a return is λ^(tokens to come) · score.
  let squares = 0
  let tokens = 0
  for (const sample of samples) {
    const length = tokensOf(sample)
    for (let t = 0; t < length; t++) squares += (lam ** (length - 1 - t) * ((sample.score - 0.7) / 2)) ** 2
    tokens += length
  }
  expect(new Set(samples.map(tokensOf)).size).toBeGreaterThan(1)
  expect(metrics[0]['completions/mean_length']).toBeCloseTo(tokens / 8, 9)
  expect(metrics[0]['loss/value_avg']).toBeCloseTo(squares / tokens / 2, 5)
})

test.each(['shared', 'separate'])(
  'Score normalisation, %s value model: a reward model in other units trains the same',
  async (value_model) => {
    // By a power of two, so that not a bit is rounded.
    const inUnits = (unit: number) => ({
      mean: 0.75 * unit,
      std: 2 * unit,
      change: (parameters: ParameterMap) => {
        const { data } = parameters.get('score.weight')!
        data.forEach((w, i) => {
          data[i] = w * unit
        })
      },
    })
    const [one, four] = [
      await ppo({ value_model, max_steps: 2 }, { rewardModel: inUnits(1) }),
      await ppo({ value_model, max_steps: 2 }, { rewardModel: inUnits(4) }),
    ]
    expect(hashOf(four.weights!)).toBe(hashOf(one.weights!))
    expect(four.metrics).toEqual(one.metrics)
    expect(four.samples[0].score).toBe(4 * one.samples[0].score)
  },
)

test('Prompt/response boundary: tokens that a text does not show are learned from as they were sampled', async () => {
  // Three of 24 tokens are special ones, which a text leaves out; re-encoded, they would be lost.
  const { metrics, samples } = await ppo(
    { response_length: 6 },
    { policy: { characters: [...'abcdefghijklmno-()+12'] } },
  )
  const shown = samples.filter(({ finish_reason }) => finish_reason === 'length')
  expect(shown.some(({ completion }) => completion.length < 6)).toBe(true)
  const ended = samples.length - shown.length
  const tokens = 8 * metrics[0]['completions/mean_length']
  expect(tokens).toBeGreaterThanOrEqual(6 * shown.length + ended)
  expect(tokens).toBeLessThanOrEqual(6 * samples.length)
})

test('Advantage normalisation, Loss aggregation: neither micro-batches nor padding change the losses', async () => {
  const runs: Ppo[] = []
  for (const micro_batch_tokens of [1, 12, 4096])
    runs.push(await ppo({ micro_batch_tokens, num_mini_batches: 2 }, { policy: stopAtLetters }))
  for (const name of ['loss/policy_avg', 'loss/value_avg', 'grad_norm', 'policy/entropy_avg', 'objective/entropy'])
    for (const { metrics } of runs) {
      const [value, first] = [metrics[0][name], runs[0].metrics[0][name]]
      // Rounding is relative: the norm of the gradient is about nine.
      expect(Math.abs(value - first), name).toBeLessThan(5e-6 * Math.max(1, Math.abs(first)))
    }
})

test('Entropy/KL/ratio metrics: entropy lies between 0 and log V, also of answers of one token beside long ones', async () => {
  const { metrics } = await ppo({ max_steps: 3, response_length: 12 }, { policy: stopAtLetters })
  for (const line of metrics) {
    expect(line['policy/entropy_avg']).toBeGreaterThan(0)
    expect(line['policy/entropy_avg']).toBeLessThan(Math.log(99))
    expect(line['objective/entropy']).toBeGreaterThan(0)
  }
})

describe('a value model of its own', () => {
  // So small that every gradient is clipped: the norm of one would show in the other.
  const separate = { value_model: 'separate', max_grad_norm: 1e-3 }

  /** What the optimizer has of the value model at the end. */
  async function valueModelOf({ folder }: Ppo) {
    const [last] = (await readdir(join(folder, 'checkpoints'))).toSorted().slice(-1)
    const file = await openSafetensors(join(folder, 'checkpoints', last, 'arrays.safetensors'))
    const names = [...file.tensors.keys()].filter((name) => name.startsWith('parameter.value_model.'))
    const weights = new Map<string, number[]>()
    for (const name of names)
      weights.set(name.slice('parameter.value_model.'.length), [...(await file.readTensor(name)).data].map(Number))
    await file.close()
    return weights
  }

  test('Value init: it says the normalised score of what stands there, so the first value loss is known', async () => {
    const [mean, std] = [0.7, 2]
    const run = await ppo({ ...separate, lam: 1 }, { rewardModel: { mean, std } })
    const { encode } = run.rewardModel.tokenizer
    const scorer = await createRewardScorer(run.rewardModel.config, run.rewardModel.parameters, { threads: 1 })
    let squares = 0
    for (const { prompt, completion, score, finish_reason } of run.samples) {
      expect(finish_reason).toBe('length')
      expect(completion).toHaveLength(4)
      // With λ = 1 and no KL yet, every return is the normalised score of the whole answer.
      const texts = [0, 1, 2, 3].map((length) => encode(prompt + completion.slice(0, length)))
      for (const value of await scorer.rewards(texts)) squares += ((value - mean) / std - (score - mean) / std) ** 2
    }
    await scorer.dispose()
    expect(run.metrics[0]['loss/value_avg']).toBeCloseTo(squares / (8 * 4) / 2, 5)
    expect(squares).toBeGreaterThan(0.1)
  })

  test.each([
    { of: 'the whole model', peft: {} },
    { of: 'an adapter', peft: { use_peft: true } },
  ])(
    'training $of: no gradient of the values reaches the policy, and none of the policy the values',
    async ({ peft }) => {
      const plain = await ppo({ ...separate, ...peft })
      const ofValues = await ppo({ ...separate, ...peft, vf_coef: 0.5 })
      const ofPolicy = await ppo({ ...separate, ...peft, entropy_coef: 0.5 })
      const [values, otherValues] = [await valueModelOf(plain), await valueModelOf(ofPolicy)]
      expect(hashOf(ofValues.weights!)).toBe(hashOf(plain.weights!))
      expect(hashOf(ofPolicy.weights!)).not.toBe(hashOf(plain.weights!))
      expect(otherValues).toEqual(values)
      expect(await valueModelOf(ofValues)).not.toEqual(values)
    },
  )

  test('it is trained whole, trunk and head, or as an adapter and a head', async () => {
    const untouched = await ppo({ ...separate, vf_coef: 0 })
    const [before, after] = [await valueModelOf(untouched), await valueModelOf(await ppo(separate))]
    for (const [name, weights] of after) expect(weights, name).not.toEqual(before.get(name))
    expect([...after.keys()]).toContain('model.layers.0.self_attn.q_proj.weight')
    const adapted = await valueModelOf(await ppo({ ...separate, use_peft: true }))
    for (const name of adapted.keys()) expect(name).toMatch(/\.lora_[AB]\.weight$|^value_head\./)
  })
})

test('metrics are TRL’s, each of them finite, and what we add', async () => {
  const trl = [
    ...['eps', 'episode', 'lr', 'loss/policy_avg', 'loss/value_avg', 'objective/entropy', 'objective/kl'],
    ...['objective/non_score_reward', 'objective/rlhf_reward', 'objective/scores', 'policy/approxkl_avg'],
    ...['policy/clipfrac_avg', 'policy/entropy_avg', 'val/clipfrac_avg', 'val/num_eos_tokens', 'val/ratio'],
    'val/ratio_var',
    // Of its trainers with another sampler.
    'sampling/sampling_logp_difference/mean',
  ]
  const ours = ['global_step', 'epoch', 'grad_norm', 'objective/kl_coef', 'completions/mean_length']
  const seconds = ['time/generate', 'time/score', 'time/forward', 'time/update']
  for (const [value_model, more] of [
    ['shared', []],
    ['separate', ['val/grad_norm']],
  ] as const) {
    const { metrics } = await ppo({ value_model })
    expect(Object.keys(metrics[0]).toSorted()).toEqual([...trl, ...ours, ...seconds, ...more].toSorted())
    expect(Object.values(metrics[0]).every(Number.isFinite)).toBe(true)
  }
})

test('a reference of its own: the first KL is that to it, and a policy that equals it has none', async () => {
  const own = await ppo({}, { referenceModel: { seed: 4 } })
  const same = await ppo({}, { referenceModel: {} })
  expect(own.metrics[0]['objective/kl']).not.toBe(0)
  expect(same.metrics[0]['objective/kl']).toBe(0)
  for (const { prompt, completion, kl } of own.samples) expect(kl, `${prompt}${completion}`).not.toBe(0)
})

test('a policy that ends at once: completions of one token are learned from', async () => {
  const everything = { config: { eos_token_id: Array.from({ length: 99 }, (_, id) => id) } }
  const { metrics, samples, weights, policyPath } = await ppo({ max_steps: 2 }, { policy: everything })
  expect(metrics.map((line) => line['completions/mean_length'])).toEqual([1, 1])
  expect(metrics.map((line) => line['val/num_eos_tokens'])).toEqual([8, 8])
  expect(samples.map(({ completion }) => completion)).toEqual(new Array(8).fill(''))
  expect(hashOf(weights!)).not.toBe(hashOf((await loadLanguageModel(policyPath)).parameters))
})

test.each([
  ['the last policy is saved', { max_steps: 2 }, {}],
  ['a checkpoint is saved', { max_steps: 4, save_steps: 1 }, {}],
  ['an interrupt saves one', { max_steps: 4 }, { stopAfter: 1 }],
])('a reference that is not frozen is noticed before %s', async (_, changes, options) => {
  const inWorld: Case['inWorld'] = (world, { referenceModel }) => ({
    ...world,
    onStep(step, total) {
      world.onStep(step, total)
      if (step === 1) referenceModel!.parameters.get('model.norm.weight')!.data[0] += 1e-3
    },
  })
  const { error, folder, steps } = await ppo(changes, { referenceModel: { seed: 4 }, inWorld, options })
  expect(error).toMatchObject({ code: 'REFERENCE_CHANGED', hint: expect.stringContaining('a bug in Plumbline') })
  expect(steps).toBe(1)
  expect(await readdir(join(folder, 'checkpoints')).catch(() => [])).toEqual([])
})

test('a constant reward does not move the policy', async () => {
  const silent: Case['rewardModel'] = { change: (parameters) => parameters.get('score.weight')!.data.fill(0) }
  const { metrics } = await ppo({ max_steps: 4, learning_rate: 0.01 }, { rewardModel: silent })
  for (const line of metrics) expect(Math.abs(line['objective/kl'])).toBeLessThan(1e-3)
})

test('a higher KL coefficient keeps the policy nearer to its reference', async () => {
  const kls: number[] = []
  for (const kl_coef of [0, 0.3, 3]) {
    const { metrics } = await ppo({ kl_coef, max_steps: 15, per_device_train_batch_size: 16, learning_rate: 0.01 })
    kls.push(meanOf(metrics.slice(-5).map((line) => line['objective/kl'])))
  }
  expect(kls[1]).toBeLessThan(kls[0])
  expect(kls[2]).toBeLessThan(kls[1])
})

test('a policy that runs away is stopped, and no checkpoint holds it', async () => {
  const changes = { max_steps: 8, save_steps: 1, learning_rate: 0.02, kl_coef: 0 }
  const kls = (await ppo(changes)).metrics.map((line) => line['objective/kl'])
  const at = kls.findIndex((kl, i) => i >= 2 && kl > Math.max(...kls.slice(0, i)) + 0.01)
  expect(at).toBeGreaterThan(1)
  const max_kl = (kls[at] + Math.max(...kls.slice(0, at))) / 2
  const { error, folder, metrics } = await ppo({ ...changes, max_kl })
  expect(error).toMatchObject({ code: 'POLICY_RAN_AWAY', hint: expect.stringContaining('--kl-coef') })
  expect(error?.message).toContain(`after iteration ${at}: the policy has left`)
  expect(metrics).toHaveLength(at)
  const saved = (await readdir(join(folder, 'checkpoints'))).map((name) => Number(name.slice('step-'.length)))
  expect(Math.max(...saved)).toBe(at - 1)
})

test('the last policy is checked too: one that ran away is not saved', async () => {
  const changes = { max_steps: 1, learning_rate: 0.05, num_ppo_epochs: 4, kl_coef: 0 }
  const { error, folder, metrics } = await ppo({ ...changes, max_kl: 1e-3 })
  // Before its update the policy is the reference.
  expect(metrics[0]['objective/kl']).toBe(0)
  expect(error).toMatchObject({ code: 'POLICY_RAN_AWAY', message: expect.stringContaining('after iteration 1: ') })
  expect(await readdir(join(folder, 'checkpoints')).catch(() => [])).toEqual([])
  expect((await ppo(changes)).error).toBeUndefined()
})

test('what an interrupt saved unchecked is checked by the first rollout of the resumed run', async () => {
  const changes = { max_steps: 8, learning_rate: 0.05, num_ppo_epochs: 4, kl_coef: 0, max_kl: 1e-3 }
  const { error, folder } = await ppo(changes, { options: { stopAfter: 1 } })
  expect(error?.code).toBe('INTERRUPTED')
  const resumed = await ppo(changes, { folder, options: { resume: true } })
  expect(resumed.error).toMatchObject({ code: 'POLICY_RAN_AWAY' })
  expect(resumed.steps).toBe(0)
})

describe('scores that run away', () => {
  const changes = { max_steps: 8, save_steps: 1, learning_rate: 0.02, kl_coef: 0 }
  const models = { rewardModel: { mean: 0.7, std: 2 } }
  /** The first iteration whose scores have moved further than all before, and a bound that only they exceed. */
  async function bound() {
    const scores = (await ppo(changes, models)).metrics.map((line) => line['objective/scores'])
    const moved = scores.map((score) => Math.abs(score - scores[0]))
    const at = moved.findIndex((change, i) => i >= 3 && change > Math.max(...moved.slice(0, i)) + 0.01)
    expect(at).toBeGreaterThan(2)
    return { at, max_score_change: (moved[at] + Math.max(...moved.slice(0, at))) / 2 }
  }

  test('they stop the run; the last good checkpoint is kept and named', async () => {
    const { at, max_score_change } = await bound()
    const { error, folder, metrics } = await ppo({ ...changes, max_score_change }, models)
    expect(error?.code).toBe('POLICY_RAN_AWAY')
    expect(error?.message).toMatch(
      new RegExp(
        `^after iteration ${at}: the scores ran away: \\S+ on average, \\S+ at first, which is \\S+ standard dev`,
      ),
    )
    expect(error?.hint).toContain(`The checkpoint of step ${at - 1} is good.`)
    expect(error?.hint).toMatch(/samples\.jsonl.*--kl-coef.*--max-score-change/)
    expect(metrics).toHaveLength(at)
    const saved = (await readdir(join(folder, 'checkpoints'))).map((name) => Number(name.slice('step-'.length)))
    expect(Math.max(...saved)).toBe(at - 1)
  })

  test('they are measured from the first rollout of the run, also after an interrupt', async () => {
    const { max_score_change } = await bound()
    const straight = await ppo({ ...changes, max_score_change }, models)
    const stopped = await ppo({ ...changes, max_score_change }, { ...models, options: { stopAfter: 2 } })
    const { folder } = stopped
    const resumed = await ppo({ ...changes, max_score_change }, { ...models, folder, options: { resume: true } })
    expect(resumed.error?.message).toBe(straight.error?.message)
    // Who knows better goes on, as if there had been no bound.
    const further = await ppo(changes, { ...models, folder, options: { resume: true } })
    expect(hashOf(further.weights!)).toBe(hashOf((await ppo(changes, models)).weights!))
  })
})

test('a KL that sampling from the policy cannot give stops the run: the sampler draws from another one', async () => {
  const inWorld = afterSampling((weights) => weights.reverse())
  const { error, folder } = await ppo({}, { inWorld })
  expect(error).toMatchObject({
    code: 'SAMPLER_DISAGREES',
    message: expect.stringMatching(/KL to the reference is -\d/),
  })
  expect(await readdir(join(folder, 'checkpoints')).catch(() => [])).toEqual([])
})

test.each(['shared', 'separate'])('memory is checked before a weight is read, %s value model', async (value_model) => {
  const [policyPath, rewardPath] = [newFolder(), newFolder()]
  await writeTinyModel(policyPath)
  await writeTinyRewardModel(rewardPath)
  const config = ppoConfig.parse({ value_model })
  /** A model whose weights nobody may copy. */
  const sealed = async (path: string): Promise<LanguageModel> => {
    const model = await loadLanguageModel(path)
    const seal = (data: Float32Array) =>
      new Proxy(data, {
        get(target, key) {
          if (key !== 'length') throw new Error(`${String(key)} of weights was read.`)
          return target.length
        },
      })
    const parameters = [...model.parameters].map(([name, parameter]) => {
      return [name, { ...parameter, data: seal(parameter.data) }] as const
    })
    return { ...model, parameters: new Map(parameters) as ParameterMap }
  }
  const [policy, rewardModel] = [await sealed(policyPath), await sealed(rewardPath)]
  const { error } = await runInFolder(
    newFolder(),
    'ppo',
    config,
    (world) => trainPpo(config, { policy, rewardModel }, prompts, world),
    { availableBytes: 1 },
  )
  expect(error?.code).toBe('MEMORY_SHORT')
})
