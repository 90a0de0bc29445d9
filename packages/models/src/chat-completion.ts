import { PlumblineError } from '@plumbline/contracts'
import type { MarkedText } from './chat-codec.ts'
import { type ChatMessage, type ChatOptions, dropMarks } from './chat-template.ts'
import type { Tokenizer } from './tokenizer.ts'

/**
 * Ids of a completion given as messages: what the chat template adds behind the prompt with its generation prompt.
 * The completion is tokenized on its own where BPE would merge across the border, because a model that generates starts
 * from exactly `promptIds`.
 *
 * Errors: `CHAT_TEMPLATE_NOT_PREFIX` when the template writes the prompt differently once a completion follows.
 */
export function encodeChatCompletion(
  tokenizer: Tokenizer,
  prompt: readonly ChatMessage[],
  completion: readonly ChatMessage[],
  { parseSpecial = false, ...options }: Omit<ChatOptions, 'addGenerationPrompt'> & { parseSpecial?: boolean } = {},
): { promptIds: number[]; completionIds: number[] } {
  const before = tokenizer.renderMarkedChat(prompt, { ...options, addGenerationPrompt: true })
  const whole = tokenizer.renderMarkedChat([...prompt, ...completion], { ...options, addGenerationPrompt: false })
  // The mark of the longer conversation is free in the shorter one too, but not the other way round.
  const start = before.text.replaceAll(before.mark, whole.mark)
  if (!whole.text.startsWith(start)) throw notPrefix(start, whole)

  const encode = (text: string, isStart: boolean) =>
    parseSpecial
      ? tokenizer.encode(dropMarks(text, whole.mark), { parseSpecial, addSpecialTokens: false })
      : tokenizer.encodeMarkedText({ text, mark: whole.mark }, { isStart })
  const promptIds = encode(start, true)
  const allIds = encode(whole.text, true)
  if (promptIds.every((id, i) => allIds[i] === id)) return { promptIds, completionIds: allIds.slice(promptIds.length) }
  return { promptIds, completionIds: encode(whole.text.slice(start.length), false) }
}

function notPrefix(start: string, { text, mark }: MarkedText): PlumblineError {
  let at = 0
  while (at < start.length && start[at] === text[at]) at++
  const around = (rendering: string) => JSON.stringify(dropMarks(rendering.slice(Math.max(0, at - 20), at + 20), mark))
  return new PlumblineError(
    'CHAT_TEMPLATE_NOT_PREFIX',
    `The chat template writes the prompt differently once a completion follows: at character ${at}, ${around(start)} becomes ${around(text)}.`,
    { hint: 'Pass a --chat-template that only appends, or give "prompt" and "completion" as text.' },
  )
}
