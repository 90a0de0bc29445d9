import { located, PlumblineError } from '@plumbline/contracts'
import { encodeChatCompletion, type PromptCompletion, type TargetSequence, type Tokenizer } from '@plumbline/models'
import type { PreferenceRow, SftRow } from '../config.ts'
import { wrongRows } from './data-rows.ts'
import { type RowName, shownRow } from './row-place.ts'

type TextOrMessages = PreferenceRow['prompt']

/** A demonstration as tokens: where the loss is, is a target. */
export function encodeDemonstration(tokenizer: Tokenizer, row: SftRow, name: RowName): TargetSequence {
  if (row.messages) return encodeConversation(tokenizer, row.messages, name)
  if (row.prompt !== undefined && row.completion !== undefined) {
    const { promptIds, completionIds } = encodePair(tokenizer, row.prompt, row.completion, name)
    return { ids: [...promptIds, ...completionIds], targets: completionIds.map((_, i) => promptIds.length + i) }
  }
  if (row.text === undefined) throw wrongRows('plumb sft', name, Object.keys(row))
  const ids = withEnd(tokenizer, tokenizer.encode(row.text))
  return { ids, targets: ids.slice(1).map((_, i) => i + 1) }
}

/** A conversation: the assistant's turns are targets, each with the token that ends it. */
function encodeConversation(
  tokenizer: Tokenizer,
  messages: NonNullable<SftRow['messages']>,
  name: RowName,
): TargetSequence {
  const ids: number[] = []
  const targets: number[] = []
  messages.forEach(({ role }, index) => {
    if (role !== 'assistant') return
    const { promptIds, completionIds } = located(shownRow(name), () =>
      encodeChatCompletion(tokenizer, messages.slice(0, index), [messages[index]]),
    )
    if (ids.some((id, i) => promptIds[i] !== id))
      throw new PlumblineError(
        'CHAT_TEMPLATE_NOT_PREFIX',
        `${shownRow(name)}: the chat template writes earlier turns differently once message ${index + 1} follows.`,
        {
          hint: 'Pass a --chat-template that only appends, or split the conversation into rows of prompt and completion.',
        },
      )
    // What stands between the last turn and this one was written by the template or the user: context alone.
    ids.push(...promptIds.slice(ids.length))
    targets.push(...completionIds.map((_, i) => ids.length + i))
    ids.push(...completionIds)
  })
  if (targets.length > 0) return { ids, targets }
  throw new PlumblineError(
    'NO_ASSISTANT_TURN',
    `${shownRow(name)}: the conversation has no message of the assistant.`,
    {
      hint: 'plumb sft learns from what the assistant says: add a message with the role "assistant".',
    },
  )
}

/** Prompt and completion as tokens. A completion of text ends with the end token, as TRL adds it. */
export function encodePair(
  tokenizer: Tokenizer,
  prompt: TextOrMessages,
  completion: TextOrMessages,
  name: RowName,
): PromptCompletion {
  refuseBlank(prompt, name)
  if (typeof prompt !== 'string' && typeof completion !== 'string')
    return located(shownRow(name), () => encodeChatCompletion(tokenizer, prompt, completion))
  if (typeof prompt !== 'string' || typeof completion !== 'string')
    throw new PlumblineError(
      'DATA_KINDS_DIFFER',
      `${shownRow(name)}: of prompt and completion, one is text and the other messages.`,
      {
        hint: 'Give both as text, or both as messages.',
      },
    )
  return {
    promptIds: encodePrompt(tokenizer, prompt, name),
    completionIds: withEnd(tokenizer, tokenizer.encode(completion, { addSpecialTokens: false })),
  }
}

/** A prompt as tokens, with the opening of the assistant's turn where it is a conversation. */
export function encodePrompt(tokenizer: Tokenizer, prompt: TextOrMessages, name: RowName): number[] {
  refuseBlank(prompt, name)
  const ids =
    typeof prompt === 'string'
      ? tokenizer.encode(prompt)
      : located(shownRow(name), () => tokenizer.encodeChat(prompt, { addGenerationPrompt: true }))
  // Of control characters alone a tokenizer may leave nothing.
  if (ids.length === 0) throw emptyPrompt(name)
  return ids
}

/** Blanks alone ask nothing, nor do messages of which none says anything. */
function refuseBlank(prompt: TextOrMessages, name: RowName): void {
  const texts = typeof prompt === 'string' ? [prompt] : prompt.map(({ content }) => content)
  if (texts.some((text) => text.trim() !== '')) return
  throw emptyPrompt(name)
}

function emptyPrompt(name: RowName): PlumblineError {
  return new PlumblineError('EMPTY_PROMPT', `${shownRow(name)}: the prompt is empty.`, {
    hint: 'Give it some text, or remove the row.',
  })
}

function withEnd({ eosTokenId }: Tokenizer, ids: number[]): number[] {
  return eosTokenId === undefined || ids.at(-1) === eosTokenId ? ids : [...ids, eosTokenId]
}

/** The sequence up to the opening of its last answer; of each answer, the first `tokens` tokens are targets. */
export function openingOf<Row extends TargetSequence>(row: Row, tokens: number): Row {
  const targets = row.targets.filter((position, i) => row.targets[i - tokens] !== position - tokens)
  return { ...row, ids: row.ids.slice(0, targets[targets.length - 1] + 1), targets }
}

/** The start of a sequence, of at most `maxLength` tokens, and what of its targets is left. */
export function truncate({ ids, targets }: TargetSequence, maxLength: number): TargetSequence {
  if (ids.length <= maxLength) return { ids, targets }
  return { ids: ids.slice(0, maxLength), targets: targets.filter((position) => position < maxLength) }
}
