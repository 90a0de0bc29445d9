import { PlumblineError } from '@plumbline/contracts'
import {
  checkRewardModel,
  createRewardScorer,
  encodeChatCompletion,
  hashModel,
  type LanguageModel,
  loadLanguageModel,
  type RewardScorer,
  scoredIds,
} from '@plumbline/models'
import { runChild, tell } from './child-side.ts'
import type { ScoreCall, ScoreCancel, ScoreReply } from './score-queue.ts'

/** The process of a reward model. It takes calls over the pipe to its parent, one at a time. */

export interface RewardChildRequest {
  readonly path: string
  /** What messages call it. */
  readonly name: string
  /** What it must be; undefined takes any. */
  readonly version: string | undefined
}

export interface RewardChildReady {
  readonly version: string
}

/** Attention over more would take gigabytes. */
const maxTokens = 4096

runChild('REWARD_MODEL_FAILED', serve)

async function serve({ path, name, version: expected }: RewardChildRequest): Promise<void> {
  const model = await loadLanguageModel(path)
  checkRewardModel(model.config, model.parameters, name)
  const version = (await hashModel(path))!.slice(0, 12)
  if (expected !== undefined && version !== expected) {
    throw new PlumblineError('REWARD_MODEL_CHANGED', `${name} is another model than at the start.`, {
      hint: 'Restart to take it up.',
    })
  }
  if (model.tokenizer.chatTemplate === undefined) {
    void tell({ warning: `${name} has no chat template: it can score completions, and no chats or responses.` })
  }
  const scorer = await createRewardScorer(model.config, model.parameters)
  let current: { readonly call: number; readonly stopping: AbortController } | undefined
  process.on('message', async (word: ScoreCall | ScoreCancel) => {
    if ('cancel' in word) {
      if (current?.call === word.cancel) current.stopping.abort()
      return
    }
    const stopping = new AbortController()
    current = { call: word.call, stopping }
    await tell(await answer(word, model, scorer, stopping.signal))
  })
  const ready: RewardChildReady = { version }
  await tell({ ready })
}

async function answer(
  call: ScoreCall,
  model: LanguageModel,
  scorer: RewardScorer,
  signal: AbortSignal,
): Promise<ScoreReply> {
  try {
    return { call: call.call, rewards: await score(call, model, scorer, signal) }
  } catch (error) {
    const { code, message } =
      error instanceof PlumblineError ? error : new PlumblineError('REWARD_FAILED', `The reward model failed: ${error}`)
    return { call: call.call, error: { code, message } }
  }
}

async function score(
  { asked, answers }: ScoreCall,
  model: LanguageModel,
  scorer: RewardScorer,
  signal: AbortSignal,
): Promise<number[]> {
  const sequences = answers.map((text) => scoredIds(encode(asked, text, model), model))
  const longest = Math.max(...sequences.map(({ length }) => length))
  const limit = Math.min(maxTokens, model.config.maxPositions)
  if (longest > limit) {
    throw new PlumblineError('REWARD_TEXT_TOO_LONG', `${longest} tokens are too many for the reward model: ${limit}.`)
  }
  const { mean, std } = scaleOf(model)
  return (await scorer.rewards(sequences, { signal })).map((reward) => (reward - mean) / std)
}

/** What somebody wrote stays text, special tokens too. */
function encode(asked: ScoreCall['asked'], text: string, { tokenizer }: LanguageModel) {
  if (typeof asked !== 'string') {
    const turns = asked.map(({ role, content }) => ({ role, content }))
    return encodeChatCompletion(tokenizer, turns, [{ role: 'assistant', content: text }])
  }
  return { promptIds: tokenizer.encode(asked), completionIds: tokenizer.encode(text, { addSpecialTokens: false }) }
}

/** As config.json has them since the training; 0 and 1 of a model that has none. */
function scaleOf({ rawConfig: { mean, std } }: LanguageModel): { readonly mean: number; readonly std: number } {
  const isScale = Number.isFinite(mean) && Number.isFinite(std) && (std as number) > 0
  return isScale ? { mean: mean as number, std: std as number } : { mean: 0, std: 1 }
}
