import { Graph, logSoftmax, pick, type Tensor } from '@plumbline/engine'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectClose, golden, type PpoGolden } from '../golden.test-support.ts'
import { ppoPolicyLoss, ppoValueLoss, ratioVariance } from './ppo.ts'
import { compileLoss, tokenWeights } from './run-loss.test-support.ts'
import { entropyFromLogits } from './token-metrics.ts'

const VOCAB = 13
const token = ['M'] as const
const policyShapes = { policyLogprobs: token, oldLogprobs: token, advantages: token, weights: token, entropies: token }
const valueShapes = { values: token, oldValues: token, returns: token, weights: token }

type PolicyTensors = Readonly<Record<keyof typeof policyShapes, Tensor>>
const policyOutputs = (inputs: PolicyTensors, options: { clipRange?: number; entropyCoef?: number }) => {
  const { entropy, ...rest } = ppoPolicyLoss(inputs.policyLogprobs, { ...inputs, ...options })
  return { ...rest, entropy: entropy! }
}
const policyProgram = (options: { clipRange?: number; entropyCoef?: number } = {}) =>
  compileLoss(policyShapes, (inputs) => policyOutputs(inputs, options), [
    'policyLogprobs',
    ...(options.entropyCoef ? (['entropies'] as const) : []),
  ])
/** From scores over a vocabulary to the loss. */
const programOverLogits = (vocab: number, options: { clipRange?: number; entropyCoef?: number }) =>
  compileLoss(
    { logits: ['M', vocab], targets: token, oldLogprobs: token, advantages: token, weights: token },
    ({ logits, targets, ...rest }) => {
      const policyLogprobs = pick(logSoftmax(logits), targets)
      return policyOutputs({ policyLogprobs, entropies: entropyFromLogits(logits), ...rest }, options)
    },
    ['logits'],
  )
const valueProgram = (options = {}) =>
  compileLoss(valueShapes, (inputs) => ({ ...ppoValueLoss(inputs.values, { ...inputs, ...options }) }), ['values'])

describe.each(golden.ppo.map((item, i) => [i, item] as const))('as TRL, case %d', (_, item: PpoGolden) => {
  const time = Math.max(...item.lengths)
  const weights = tokenWeights(item.lengths, time)
  const { inputs, clipRange, valueClipRange, entropyCoef } = item
  const flat = (name: Exclude<keyof typeof inputs, 'logits'>) => inputs[name].flat()

  const policyFeeds = { oldLogprobs: flat('oldLogprobs'), advantages: flat('advantages'), weights }
  const logitFeeds = { ...policyFeeds, logits: inputs.logits.flat(2), targets: flat('responses') }

  test('policy loss, metrics and gradient by logits', async () => {
    const { values, gradients } = await (await programOverLogits(VOCAB, { clipRange })).run(logitFeeds)
    for (const name of ['clipFraction', 'approxKl', 'ratio', 'entropy'] as const)
      expectClose([values[name]], [item[name]], name)
    expectClose([values.loss], [item.policyLoss], 'loss')
    expectClose([ratioVariance(values.ratio, values.ratioDeviation)], [item.ratioVariance], 'ratio variance')
    expectClose(gradients.logits, item.gradients.logits.flat(2), 'gradient')
  })

  test('policy loss: gradient by log-probabilities', async () => {
    const policyLogprobs = item.policyLogprobs.flat()
    const { gradients } = await (await policyProgram({ clipRange })).run({
      ...policyFeeds,
      policyLogprobs,
      entropies: weights,
    })
    expectClose(gradients.policyLogprobs, item.gradients.policyLogprobs.flat())
  })

  test('policy loss with the entropy bonus', async () => {
    const { values, gradients } = await (await programOverLogits(VOCAB, { clipRange, entropyCoef })).run(logitFeeds)
    expectClose([values.loss], [item.lossWithEntropy], 'loss')
    expectClose(gradients.logits, item.gradients.logitsWithEntropy.flat(2), 'gradient')
  })

  test('value loss, clip fraction and gradient', async () => {
    const program = await valueProgram({ valueClipRange })
    const { values, gradients } = await program.run({
      values: flat('values'),
      oldValues: flat('oldValues'),
      returns: flat('returns'),
      weights,
    })
    expectClose([values.loss], [item.valueLoss], 'loss')
    expectClose([values.clipFraction], [item.valueClipFraction], 'clip fraction')
    expectClose(gradients.values, item.gradients.values.flat(), 'gradient')
  })
})

test.each([
  // ratio, advantage, loss, whether the gradient still flows
  [1.3, 1, -1.2, false],
  [1.3, -1, 1.3, true],
  [0.7, 1, -0.7, true],
  [0.7, -1, 0.8, false],
  [1, 2, -2, true],
])('ratio %d, advantage %d: %d', async (ratio, advantage, expected, flows) => {
  const program = await policyProgram()
  const { values, gradients } = await program.run({
    policyLogprobs: [Math.log(ratio)],
    oldLogprobs: [0],
    advantages: [advantage],
    weights: [1],
    entropies: [0],
  })
  expect(values.loss).toBeCloseTo(expected, 6)
  expect(gradients.policyLogprobs[0]).toBeCloseTo(flows ? -advantage * ratio : 0, 6)
  expect(values.clipFraction).toBe(flows ? 0 : 1)
})

test('a value past the clip range pays for its distance from the clipped one', async () => {
  const row = { values: [0.9], oldValues: [0.5], returns: [1], weights: [1] }
  const clipped = await (await valueProgram()).run(row)
  expect(clipped.values.loss).toBeCloseTo(0.045, 6)
  expect(clipped.gradients.values[0]).toBe(0)
  const open = await (await valueProgram({ valueClipRange: Number.POSITIVE_INFINITY })).run(row)
  expect(open.values.loss).toBeCloseTo(0.005, 6)
  expect(open.gradients.values[0]).toBeCloseTo(-0.1, 6)
})

test('two arms with −k1 as the advantage: the gradient is that of the KL', async () => {
  const program = await programOverLogits(2, {})
  const softmax = (a: number, b: number) => [1 / (1 + Math.exp(b - a)), 1 / (1 + Math.exp(a - b))]
  const [p, ref] = [softmax(0.3, -0.2), softmax(0, 0.5)]
  // Both arms, weighed by their probability: an exact expectation over samples.
  const { gradients } = await program.run({
    logits: [0.3, -0.2, 0.3, -0.2],
    targets: [0, 1],
    oldLogprobs: p.map(Math.log),
    advantages: p.map((x, arm) => Math.log(ref[arm]) - Math.log(x)),
    weights: p,
  })
  expect(gradients.logits[0] + gradients.logits[2]).toBeCloseTo(0.235004, 6)
})

const float = (min: number, max: number) => fc.double({ min, max, noNaN: true }).map(Math.fround)
const policyToken = fc.record({
  policyLogprobs: float(-5, 0),
  oldLogprobs: float(-5, 0),
  advantages: float(-3, 3),
  entropies: float(0, 3),
})
const valueToken = fc.record({ values: float(-3, 3), oldValues: float(-3, 3), returns: float(-3, 3) })
/** What may stand in padding: anything finite whose differences are finite too. */
const junk = fc.constantFrom(0, -1e9, 1e9, 1e30, -1e30)

type Token = Readonly<Record<string, number>>
const columns = (tokens: readonly (Token & { weights: number })[]) =>
  Object.fromEntries(Object.keys(tokens[0]).map((name) => [name, tokens.map((item) => item[name])]))

/** Padding at any place changes neither the sums nor the gradients, and has no gradient itself. */
async function paddingLaw<T extends Token>(
  program: Awaited<ReturnType<typeof policyProgram>> | Awaited<ReturnType<typeof valueProgram>>,
  tokens: fc.Arbitrary<T>,
) {
  const rows = fc.array(fc.tuple(tokens, fc.boolean(), junk), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(rows, async (list) => {
      const real = list.filter(([, isPadding]) => !isPadding).map(([item]) => item)
      fc.pre(real.length > 0)
      const weights = 1 / real.length
      const spoilt = list.map(([item, isPadding, number]) =>
        isPadding
          ? { ...Object.fromEntries(Object.keys(item).map((name, i) => [name, i % 2 ? -number : number])), weights: 0 }
          : { ...item, weights },
      )
      const plain = await program.run(columns(real.map((item) => ({ ...item, weights }))))
      const padded = await program.run(columns(spoilt))
      const names = Object.keys(plain.values) as (keyof typeof plain.values)[]
      expectClose(
        names.map((name) => padded.values[name]),
        names.map((name) => plain.values[name]),
      )
      for (const [name, gradient] of Object.entries(plain.gradients)) {
        let next = 0
        const expected = list.map(([, isPadding]) => (isPadding ? 0 : gradient[next++]))
        expectClose(padded.gradients[name], expected, name)
      }
    }),
    { numRuns: 60 },
  )
}

/** Losses, metrics and gradients of the parts of a batch make up those of the whole. */
async function splitLaw<T extends Token>(
  program: Awaited<ReturnType<typeof policyProgram>> | Awaited<ReturnType<typeof valueProgram>>,
  tokens: fc.Arbitrary<T>,
) {
  await fc.assert(
    fc.asyncProperty(fc.array(tokens, { minLength: 2, maxLength: 12 }), fc.nat(), async (list, at) => {
      const weighted = list.map((item) => ({ ...item, weights: 1 / list.length }))
      const cut = 1 + (at % (list.length - 1))
      const whole = await program.run(columns(weighted))
      const first = await program.run(columns(weighted.slice(0, cut)))
      const second = await program.run(columns(weighted.slice(cut)))
      const names = Object.keys(whole.values) as (keyof typeof whole.values)[]
      expectClose(
        names.map((name) => first.values[name] + second.values[name]),
        names.map((name) => whole.values[name]),
      )
      for (const [name, gradient] of Object.entries(whole.gradients))
        expectClose([...first.gradients[name], ...second.gradients[name]], gradient, name)
    }),
    { numRuns: 60 },
  )
}

test('policy loss: padding never counts', async () =>
  paddingLaw(await policyProgram({ entropyCoef: 0.1 }), policyToken))
test('value loss: padding never counts', async () => paddingLaw(await valueProgram(), valueToken))
test('policy loss: any split into micro-batches', async () =>
  splitLaw(await policyProgram({ entropyCoef: 0.1 }), policyToken))
test('value loss: any split into micro-batches', async () => splitLaw(await valueProgram(), valueToken))

test('an unmoved policy has ratio 1 and no KL', async () => {
  const program = await policyProgram()
  const logprobs = [-0.1, -3.7, -12.25]
  const { values } = await program.run({
    policyLogprobs: logprobs,
    oldLogprobs: logprobs,
    advantages: [1, -1, 0.5],
    weights: [0.25, 0.25, 0.5],
    entropies: [1, 1, 1],
  })
  expect(values).toMatchObject({ ratio: 1, ratioDeviation: 0, approxKl: 0, clipFraction: 0 })
  expect(ratioVariance(values.ratio, values.ratioDeviation)).toBe(0)
})

test('columns beside rows are an error, not a matrix', () => {
  const graph = new Graph()
  const column = graph.input('values', 'float32', ['M', 1])
  const row = graph.input('weights', 'float32', ['M'])
  expect(() => ppoValueLoss(column, { oldValues: row, returns: row, weights: row })).toThrow(
    'ppoValueLoss: values is [M, 1], oldValues [M].',
  )
})
