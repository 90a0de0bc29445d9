import type { ServerResponse } from 'node:http'
import { sendJson } from '@plumbline/gateway/openai-error'
import { createTextStream, type DrawnToken, type GenerationQueue } from '@plumbline/models'
import type { Call, Choice, Piece, ServedModel, StreamEvent } from './call.ts'

/** Has the answers of a call written and sends them, in one piece or as they come. */
export async function complete(
  { prompts, numGenerations, seed, isStream, options, format }: Call,
  model: ServedModel,
  queue: GenerationQueue,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { tokenizer, stopTokenIds } = model
  const choices = Array.from({ length: prompts.length * numGenerations }, (_, index) => openChoice(index))
  let completionTokens = 0
  // Nothing is sent before the first token: until then a failure can still be told by its status.
  const send = (events: readonly StreamEvent[]) => {
    if (!res.headersSent)
      res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
    res.write(events.map(eventText).join(''))
  }
  const requests = prompts.map((promptIds, promptIndex) => ({
    promptIds,
    promptIndex,
    numGenerations,
    seed,
    signal,
    options: {
      ...options,
      stopTokenIds,
      createTextStream: () => createTextStream(tokenizer, { skipSpecialTokens: true }),
    },
    onToken(generation: number, token: DrawnToken, reason: Choice['finishReason']) {
      const choice = choices[promptIndex * numGenerations + generation]
      const isFirst = choice.tokens++ === 0
      completionTokens++
      const pieces = takeToken(choice, token, reason, stopTokenIds)
      if (!isStream) return
      send([
        ...(res.headersSent ? [] : format.opening()),
        ...(isFirst ? format.begin(choice) : []),
        ...(token.text === '' ? [] : format.more(choice, token.text, pieces)),
        ...(reason === undefined ? [] : format.end(choice)),
      ])
    },
  }))
  await queue.submit(requests)
  const usage = { promptTokens: prompts.reduce((sum, { length }) => sum + length, 0), completionTokens }
  if (!isStream) return sendJson(res, 200, format.whole(choices, usage))
  send(format.closing(choices, usage))
  res.end()
}

interface OpenChoice extends Choice {
  tokens: number
  /** Tokens whose text is not out yet. */
  held: Piece[]
}

function openChoice(index: number): OpenChoice {
  return { index, text: '', pieces: [], finishReason: undefined, tokens: 0, held: [] }
}

/**
 * Puts a token into its choice; gives the pieces whose text came out with it. The token that ends an answer and those of
 * a stop text have no text, so they are no pieces.
 */
function takeToken(
  choice: OpenChoice,
  { text, ...piece }: DrawnToken,
  reason: Choice['finishReason'],
  stopTokenIds: readonly number[],
): Piece[] {
  choice.text += text
  choice.finishReason = reason
  if (!stopTokenIds.includes(piece.tokenId)) choice.held.push(piece)
  const out = choice.held.filter(({ start }) => start < choice.text.length)
  choice.held = choice.held.slice(out.length)
  choice.pieces.push(...out)
  return out
}

function eventText({ name, data }: StreamEvent): string {
  const line = `data: ${data === '[DONE]' ? data : JSON.stringify(data)}\n\n`
  return name === undefined ? line : `event: ${name}\n${line}`
}
