import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import type { ParameterMap } from '@plumbline/engine'
import { type ModelConfig, parseModelConfig } from './config.ts'
import { buildForward } from './forward.ts'
import { tokenizerFromGguf } from './gguf-tokenizer.ts'
import { SCORE_HEAD, UNTIED_HEAD } from './head-names.ts'
import { type OpenedModel, openModelFolder } from './model-folder.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'

/** A model that is ready to be run, scored or trained. */
export interface LanguageModel {
  readonly path: string
  readonly config: ModelConfig
  /** config.json, for saving. */
  readonly rawConfig: Record<string, unknown>
  readonly parameters: ParameterMap
  readonly tokenizer: Tokenizer
  readonly generationConfig: Record<string, unknown> | undefined
  /** Tokens that end an answer. */
  readonly stopTokenIds: readonly number[]
}

export interface LoadLanguageModelOptions {
  /** Instead of the template that comes with the model. */
  readonly chatTemplate?: string
  /** What messages call that template. */
  readonly chatTemplateName?: string
  /** The clock of templates that write the date. */
  readonly now?: () => Date
}

/**
 * Loads a model and its tokenizer from a Hugging Face folder or a GGUF file and checks that they belong together.
 * Throws TOKENIZER_MISSING, TOKENIZER_MISMATCH, MODEL_INCOMPLETE, and what the readers throw.
 */
export async function loadLanguageModel(path: string, options: LoadLanguageModelOptions = {}): Promise<LanguageModel> {
  const opened = await openModelFolder(path)
  const config = parseModelConfig(opened.config, opened.tokenizer.gguf ? path : join(path, 'config.json'))
  const files = tokenizerFiles(path, opened)
  const [tokenizer, parameters] = await meanwhile(opened.readParameters(), () =>
    loadTokenizer({ ...files, ...options }),
  )
  checkParameters(path, config, parameters)
  if (tokenizer.vocabSize > config.vocabSize)
    throw new PlumblineError(
      'TOKENIZER_MISMATCH',
      `${path}: the tokenizer has ${tokenizer.vocabSize} tokens, the model ${config.vocabSize}.`,
      { hint: 'They come from different models. Download both again from the same place.' },
    )
  return {
    path,
    config,
    rawConfig: opened.config,
    parameters,
    tokenizer,
    generationConfig: opened.generationConfig,
    stopTokenIds: stopTokenIds(opened, tokenizer),
  }
}

/** Does `work` while something is on its way, and waits for that even when the work fails. */
async function meanwhile<Work, Coming>(coming: Promise<Coming>, work: () => Work): Promise<[Work, Coming]> {
  const [done, come] = await Promise.allSettled([(async () => work())(), coming])
  if (done.status === 'rejected') throw done.reason
  if (come.status === 'rejected') throw come.reason
  return [done.value, come.value]
}

function tokenizerFiles(path: string, { tokenizer }: OpenedModel) {
  if (tokenizer.gguf) return { ...tokenizerFromGguf(tokenizer.gguf, path), where: path }
  const { tokenizerJson, tokenizerConfig } = tokenizer
  if (tokenizerJson) return { tokenizerJson, tokenizerConfig, where: join(path, 'tokenizer.json') }
  throw new PlumblineError('TOKENIZER_MISSING', `${path} has no tokenizer.json.`, {
    hint: 'Download it beside the weights. A slow tokenizer (vocab.json, tokenizer.model) must be converted first.',
  })
}

/**
 * Names and shapes against what the family needs. Extra tensors (a score head, say) are left alone, but not a bias of a
 * layer that we run without one: the numbers would be wrong and nobody told.
 */
function checkParameters(path: string, config: ModelConfig, parameters: ParameterMap): void {
  checkLayers(path, config, parameters)
  const forward = buildForward(config)
  forward.logits()
  for (const [name, { shape }] of forward.graph.parameters) {
    const found = parameters.get(name)
    // A reward model has a score head in place of the one over the vocabulary.
    if (!found && name === UNTIED_HEAD && parameters.has(SCORE_HEAD)) continue
    if (!found)
      throw new PlumblineError('MODEL_INCOMPLETE', `${path} lacks the weight ${name}.`, {
        hint: 'The files are not all of one model. Download it again.',
      })
    if (found.shape.join() !== shape.join())
      throw new PlumblineError(
        'MODEL_INCOMPLETE',
        `${path}: ${name} is [${found.shape.join(', ')}], config.json asks for [${shape.join(', ')}].`,
        { hint: 'config.json and the weights belong to different models.' },
      )
  }
  const used = forward.graph.parameters
  for (const name of parameters.keys()) {
    if (used.has(name) || !name.endsWith('.bias')) continue
    const weight = name.replace(/bias$/, 'weight')
    if (!used.has(weight) && weight !== UNTIED_HEAD && weight !== SCORE_HEAD) continue
    throw new PlumblineError(
      'UNSUPPORTED_ARCHITECTURE',
      `${path} holds ${name}, but its config.json has no such bias.`,
      {
        hint: 'Check attention_bias and mlp_bias there. If they are right, the model is a variant that is not supported.',
      },
    )
  }
}

/** Before a graph is built of them: a config.json may claim ten thousand layers. */
function checkLayers(path: string, { family, layers }: ModelConfig, parameters: ParameterMap): void {
  const last = `${family === 'gpt2' ? 'transformer.h' : 'model.layers'}.${layers - 1}.`
  if ([...parameters.keys()].some((name) => name.startsWith(last))) return
  throw new PlumblineError('MODEL_INCOMPLETE', `${path}: its config has ${layers} layers, but no weight ${last}….`, {
    hint: 'The files are not all of one model. Download it again.',
  })
}

function stopTokenIds({ config, generationConfig }: OpenedModel, tokenizer: Tokenizer): number[] {
  const configured = [generationConfig?.eos_token_id, config.eos_token_id, tokenizer.eosTokenId].flat()
  return [...new Set(configured.filter((id): id is number => Number.isInteger(id)))]
}
