/** Two-layer models with random weights and a vocabulary of the ASCII characters, as Hugging Face folders. */
import { createParameter, createRandom, type ParameterMap } from '@plumbline/engine'
import {
  buildForward,
  type LanguageModel,
  loadLanguageModel,
  parseModelConfig,
  SCORE_HEAD,
  saveModelFolder,
} from '@plumbline/models'

const SPECIALS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
const ASCII = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i))
/** Byte-level BPE writes the space and the line feed so. */
const CHARACTERS = [...ASCII, 'Ġ', 'Ċ']
const END_OF_TURN = 2

/** Id of a character in the vocabulary of all. */
export const idOf = (character: string) => SPECIALS.length + CHARACTERS.indexOf(character)

const TEMPLATE = `{% for m in messages %}<|im_start|>{{ m['role'] }}
{{ m['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

const config = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
  eos_token_id: END_OF_TURN,
}

export interface TinyModelOptions {
  readonly seed?: number
  /** Standard deviation of the weights; the larger, the more its predictions differ. */
  readonly deviation?: number
  readonly eosToken?: string
  /** Equal to the end token by default, as many models have it. */
  readonly padToken?: string
  readonly config?: Record<string, unknown>
  /** The vocabulary beside the special tokens; ASCII, the space and the line feed by default. */
  readonly characters?: readonly string[]
  /** Pairs of these that are joined; the results are characters. None by default. */
  readonly merges?: readonly string[]
  readonly normalizer?: { readonly type: string }
  /** Changes the weights before they are written. */
  readonly change?: (parameters: ParameterMap) => void
}

/** Writes a language model into `path`. */
export async function writeTinyModel(path: string, options: TinyModelOptions = {}): Promise<string> {
  const { eosToken = '<|im_end|>', padToken = eosToken, characters = CHARACTERS, change } = options
  const tokens = [...SPECIALS, ...characters]
  const raw = { ...config, vocab_size: tokens.length, ...options.config }
  const parameters = randomParameters(raw, options)
  change?.(parameters)
  await saveModelFolder(path, {
    config: raw,
    parameters,
    tokenizerJson: tokenizerJson(tokens, options),
    tokenizerConfig: { eos_token: eosToken, pad_token: padToken, chat_template: TEMPLATE },
  })
  return path
}

/** The same with a score head in place of the one over the vocabulary. */
export function writeTinyRewardModel(
  path: string,
  { change, ...options }: TinyModelOptions & { mean?: number; std?: number } = {},
): Promise<string> {
  const { seed = 11, mean, std } = options
  const raw = { architectures: ['LlamaForSequenceClassification'], num_labels: 1, mean, std }
  return writeTinyModel(path, {
    ...options,
    seed,
    config: { ...options.config, ...raw },
    change(parameters) {
      const head = createParameter(SCORE_HEAD, [1, config.hidden_size])
      const random = createRandom(seed).fork('score')
      for (let i = 0; i < head.data.length; i++) head.data[i] = random.normal()
      ;(parameters as Map<string, typeof head>).set(SCORE_HEAD, head)
      change?.(parameters)
    },
  })
}

/** Writes and loads. */
export async function tinyModel(path: string, options?: TinyModelOptions): Promise<LanguageModel> {
  return loadLanguageModel(await writeTinyModel(path, options))
}

function randomParameters(raw: Record<string, unknown>, { seed = 3, deviation = 0.2 }: TinyModelOptions): ParameterMap {
  const forward = buildForward(parseModelConfig(raw))
  forward.logits()
  const random = createRandom(seed)
  return new Map(
    [...forward.graph.parameters].map(([name, { shape }]) => {
      const parameter = createParameter(name, shape as number[])
      const centre = name.includes('norm') ? 1 : 0
      for (let i = 0; i < parameter.data.length; i++) parameter.data[i] = centre + deviation * random.normal()
      return [name, parameter]
    }),
  )
}

function tokenizerJson(
  tokens: readonly string[],
  { merges = [], normalizer }: Pick<TinyModelOptions, 'merges' | 'normalizer'>,
) {
  return {
    version: '1.0',
    added_tokens: SPECIALS.map((content, id) => ({ id, content, special: true })),
    normalizer: normalizer ?? null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  }
}
