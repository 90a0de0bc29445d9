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
  const [own, other] = [policy.config, referenceModel.config]
  const differing = differences(own, other)
  if (differing.length === 0) return
  const [ownName, otherName] = [own, other].map(architecture)
  const message =
    ownName === otherName
      ? `the reference model and the policy differ in ${differing.join(', ')}.`
      : `the reference model is ${otherName}, the policy ${ownName}.`
  throw new PlumblineError('REFERENCE_MISMATCH', message, REFERENCE_HINT)
}

const REFERENCE_HINT = {
  hint: 'Give the model that the policy was trained from, or leave --ref-model out: then it is the policy as it starts.',
}

/** The sizes that people know a model by. */
function architecture({ family, layers, hiddenSize, heads, keyValueHeads, intermediateSize }: ModelConfig): string {
  return `a ${family} of ${layers} layers, width ${hiddenSize} and ${intermediateSize}, ${heads} heads over ${keyValueHeads}`
}

/**
 * Keys of the configurations whose values differ, but for what a copy of the same model may have otherwise: rows of the
 * embeddings that no token uses, a limit of the length, a head that is stored apart.
 */
function differences(own: ModelConfig, other: ModelConfig): string[] {
  const [ours, theirs] = [own, other].map((config) => {
    const { vocabSize, maxPositions, hasTiedHead, ...rest } = config
    const isPlain = config.family === 'llama' && config.ropeScaling.type === 'default'
    // Its other numbers say nothing then.
    return (isPlain ? { ...rest, ropeScaling: 'default' } : rest) as Record<string, unknown>
  })
  return Object.keys(ours).filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]))
}

/** Of text with what tokenizers treat unlike: case, an accent that is composed or not, digits, spaces, line feeds. */
const PROBE = "Tokenizers cut  this TEXT, don't they?\n\n\té e\u0301 ﬁ 12345 3.14 日本語 <b>&amp;</b> "

function checkSameTokenizer(
  name: string,
  model: LanguageModel,
  policy: LanguageModel,
  options: { readonly hint: string },
): void {
  const [own, other] = [policy.tokenizer, model.tokenizer]
  const refuse = (which: string) => new PlumblineError('TOKENIZER_MISMATCH', `the ${name} has ${which}.`, options)
  if (own.vocabSize !== other.vocabSize) throw refuse(`${other.vocabSize} tokens and the policy ${own.vocabSize}`)
  for (let id = 0; id < own.vocabSize; id++)
    if (own.idToToken(id) !== other.idToToken(id))
      throw refuse(
        `as many tokens as the policy, but others: ${id} is "${other.idToToken(id)}" and the policy's "${own.idToToken(id)}"`,
      )
  if (mergesOf(own) !== mergesOf(other) || own.encode(PROBE).join() !== other.encode(PROBE).join())
    throw refuse('the tokens of the policy, but cuts texts into them otherwise')
}

/** How tokenizer.json joins tokens: pairs, which older files write with a space between them. */
function mergesOf({ tokenizerJson }: LanguageModel['tokenizer']): string {
  const { merges = [] } = (tokenizerJson.model ?? {}) as { merges?: readonly (string | readonly string[])[] }
  return merges.map((pair) => (typeof pair === 'string' ? pair : pair.join(' '))).join('\n')
}

/** One checksum of all weights. */
export function hashOf(parameters: ParameterMap): string {
  const hash = createHash('sha256')
  for (const { data } of parameters.values()) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return hash.digest('hex')
}
