import { PlumblineError } from '@plumbline/contracts'
import { type AddedToken, addedTokenSplitter } from './added-tokens.ts'
import {
  type ChatMessage,
  type ChatOptions,
  checkMessages,
  chooseMark,
  createMarker,
  dropMarks,
} from './chat-template.ts'
import { compileTemplate, type RenderTemplate } from './template-sandbox.ts'
import type { TextEncoding } from './text-encoder.ts'

/** A rendered conversation in which special tokens from contents are broken by `mark`. */
export interface MarkedText {
  text: string
  mark: string
}

interface ChatCodecParts {
  special: readonly AddedToken[]
  chatTemplate: string | undefined
  /** What messages call the template. */
  templateName?: string | undefined
  /** `bos_token` and so on, as the template sees them. */
  namedTokens: Record<string, string>
  now: () => Date
  encodeText: TextEncoding
}

/** Messages to text, and to ids in which only the template's own special tokens are special. */
export function createChatCodec({ special, chatTemplate, templateName, namedTokens, now, encodeText }: ChatCodecParts) {
  let template: RenderTemplate | undefined
  const render = (
    messages: readonly ChatMessage[],
    { addGenerationPrompt = false, tools, documents, variables }: ChatOptions,
  ): string => {
    if (chatTemplate === undefined) {
      throw new PlumblineError(
        'NO_CHAT_TEMPLATE',
        'The tokenizer has no chat template, so messages cannot be turned into text.',
        {
          hint: 'Pass one with --chat-template, or give "prompt" as text.',
        },
      )
    }
    template ??= compileTemplate(chatTemplate, templateName)
    const given = {
      messages,
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt: addGenerationPrompt,
    }
    return template({ ...variables, ...namedTokens, ...given }, now())
  }

  const splitSpecial = addedTokenSplitter(special)
  const markInputs = createMarker(special.map(({ content }) => content))
  const renderMarkedChat = (messages: readonly ChatMessage[], chat: ChatOptions = {}): MarkedText => {
    checkMessages(messages)
    const { addGenerationPrompt, ...rest } = chat
    const inputs = { messages, ...rest }
    const mark = chooseMark([inputs, chatTemplate, namedTokens])
    const { messages: marked, ...others } = markInputs(inputs, mark)
    return { text: render(marked, { addGenerationPrompt, ...others }), mark }
  }
  const encodeMarkedText = ({ text, mark }: MarkedText, { isStart = true } = {}): number[] => {
    const ids: number[] = []
    const fromTemplate = splitSpecial(
      text.toWellFormed(),
      (token, start) => token.content.length > 1 || text[start - 1] !== mark,
    )
    for (const segment of fromTemplate) {
      if ('id' in segment) ids.push(segment.id)
      else
        encodeText(dropMarks(segment.text, mark), { parseSpecial: false, isStart: isStart && segment.start === 0 }, ids)
    }
    return ids
  }
  const renderChat = (messages: readonly ChatMessage[], chat: ChatOptions = {}): string => {
    checkMessages(messages)
    return render(messages, chat)
  }

  return { renderChat, renderMarkedChat, encodeMarkedText }
}
