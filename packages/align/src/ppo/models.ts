import { createHash } from 'node:crypto'
import { PlumblineError } from '@plumbline/contracts'
import type { ParameterMap } from '@plumbline/engine'
import { checkLanguageModel, type LanguageModel, type ModelConfig } from '@plumbline/models'

export interface PpoModels {
  readonly policy: LanguageModel
  readonly rewardModel: LanguageModel
  /** What the KL is measured to; by default the policy as it is at the start. */
  readonly referenceModel?: LanguageModel | undefined
}

/** Throws NOT_A_LANGUAGE_MODEL, TOKENIZER_MISMATCH and REFERENCE_MISMATCH. */
export function checkModels({ policy, rewardModel, referenceModel }: PpoModels): void {
  checkLanguageModel(policy.parameters, '--model')
  if (referenceModel) checkLanguageModel(referenceModel.parameters, '--ref-model')
  checkSameTokenizer('reward model', rewardModel, policy, {
    hint: 'Train the reward model from the same base as the policy: plumb reward --model …',
  })
  if (!referenceModel) return
  checkSameTokenizer('reference model', referenceModel, policy, REFERENCE_HINT)
  const [own, other] = [policy, referenceModel].map(({ config }) => architecture(config))
  if (own === other) return
  throw new PlumblineError('REFERENCE_MISMATCH', `the reference model is ${other}, the policy ${own}.`, REFERENCE_HINT)
}

const REFERENCE_HINT = {
  hint: 'Give the model that the policy was trained from, or leave --ref-model out: then it is the policy as it starts.',
}

/** The sizes that people know a model by. */
function architecture({ family, layers, hiddenSize, heads, keyValueHeads, intermediateSize }: ModelConfig): string {
  return `a ${family} of ${layers} layers, width ${hiddenSize} and ${intermediateSize}, ${heads} heads over ${keyValueHeads}`
}

function checkSameTokenizer(
  name: string,
  model: LanguageModel,
  policy: LanguageModel,
  options: { readonly hint: string },
): void {
  const vocabulary = ({ tokenizer }: LanguageModel) =>
    JSON.stringify((tokenizer.tokenizerJson as { model?: { vocab?: unknown } }).model?.vocab)
  const [own, other] = [policy.tokenizer.vocabSize, model.tokenizer.vocabSize]
  if (own === other && vocabulary(policy) === vocabulary(model)) return
  const which = own === other ? `${own} tokens as the policy, but other ones` : `${other} tokens and the policy ${own}`
  throw new PlumblineError('TOKENIZER_MISMATCH', `the ${name} has ${which}.`, options)
}

/** One checksum of all weights. */
export function hashOf(parameters: ParameterMap): string {
  const hash = createHash('sha256')
  for (const { data } of parameters.values()) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return hash.digest('hex')
}
