import { logSoftmax, pick } from '@plumbline/engine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectClose, golden } from '../golden.test-support.ts'
import { compileLoss, tokenWeights } from './run-loss.test-support.ts'
import { sftLoss } from './sft.ts'
import { entropyFromLogits, tokenAccuracy } from './token-metrics.ts'
import { weightedSum } from './weighted.ts'

const program = (vocab: number) =>
  compileLoss(
    { logits: ['M', vocab], targets: ['M'], weights: ['M'] },
    ({ logits, targets, weights }) => ({
      loss: sftLoss(pick(logSoftmax(logits), targets), { weights }),
      accuracy: tokenAccuracy(logits, { targets, weights }),
      entropy: weightedSum(entropyFromLogits(logits), weights),
    }),
    ['logits'],
  )

test('loss, accuracy, entropy and gradient are TRL’s', async () => {
  const { lengths, logits, targets, gradient, ...expected } = golden.sft
  const weights = tokenWeights(lengths, targets[0].length)
  const sft = await program(logits[0][0].length)
  const found = await sft.run({ logits: logits.flat(2), targets: targets.flat(), weights })
  for (const name of ['loss', 'accuracy', 'entropy'] as const) expectClose([found.values[name]], [expected[name]], name)
  expectClose(found.gradients.logits, gradient.flat(2), 'gradient')
})

test('equal logits: the loss and the entropy are log V, and the first token counts as predicted', async () => {
  const sft = await program(5)
  const { values } = await sft.run({ logits: new Array(15).fill(0.5), targets: [0, 3, 4], weights: [0.5, 0.5, 0] })
  expect(values).toEqual({
    loss: expect.closeTo(Math.log(5), 6),
    entropy: expect.closeTo(Math.log(5), 6),
    accuracy: 0.5,
  })
})

test('padding never counts, and any split adds up', async () => {
  const logit = fc.double({ min: -5, max: 5, noNaN: true })
  const token = fc.record({
    logits: fc.array(logit, { minLength: 4, maxLength: 4 }),
    targets: fc.nat(3),
    isPadding: fc.boolean(),
  })
  const sft = await program(4)
  await fc.assert(
    fc.asyncProperty(fc.array(token, { minLength: 2, maxLength: 10 }), fc.nat(), async (tokens, at) => {
      const real = tokens.filter(({ isPadding }) => !isPadding)
      fc.pre(real.length > 0)
      const feeds = (list: typeof tokens) => ({
        logits: list.flatMap(({ logits, isPadding }) => (isPadding ? [1e30, -1e30, 0, 1e9] : logits)),
        targets: list.map(({ targets }) => targets),
        weights: list.map(({ isPadding }) => (isPadding ? 0 : 1 / real.length)),
      })
      const cut = 1 + (at % (tokens.length - 1))
      const plain = await sft.run(feeds(real))
      const parts = [await sft.run(feeds(tokens.slice(0, cut))), await sft.run(feeds(tokens.slice(cut)))]
      for (const name of ['loss', 'accuracy', 'entropy'] as const)
        expectClose([parts[0].values[name] + parts[1].values[name]], [plain.values[name]], name)
      const slopes = parts.flatMap(({ gradients }) => gradients.logits)
      const expected = tokens.map(({ isPadding }) => (isPadding ? [0, 0, 0, 0] : []))
      real.forEach((item, i) => {
        expected[tokens.indexOf(item)] = plain.gradients.logits.slice(4 * i, 4 * i + 4)
      })
      expectClose(slopes, expected.flat(), 'gradient')
    }),
    { numRuns: 60 },
  )
})
