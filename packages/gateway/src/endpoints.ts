import {
  type Answer,
  addText,
  addToolCall,
  asArray,
  asObject,
  choiceAt,
  type Json,
  readError,
  readHead,
  setFinish,
} from './answer.ts'

/** One endpoint of OpenAI's API: how its answers are read for the record. What is sent on is the upstream's bytes. */
export interface Endpoint {
  /** One event of a stream, already JSON. */
  readEvent(answer: Answer, json: Json): void
  /** An answer in one piece. Gives whether it is one. */
  readWhole(answer: Answer, json: Json): boolean
}

export const endpoints = {
  '/v1/chat/completions': {
    readEvent: (answer, json) => {
      readHead(answer, json)
      for (const item of asArray(json.choices).map(asObject)) readMessage(answer, item, asObject(item.delta))
    },
    readWhole: (answer, json) => {
      readHead(answer, json)
      for (const item of asArray(json.choices).map(asObject)) readMessage(answer, item, asObject(item.message))
      return Array.isArray(json.choices)
    },
  },
  '/v1/completions': {
    readEvent: readTextChoices,
    readWhole: (answer, json) => {
      readTextChoices(answer, json)
      return Array.isArray(json.choices)
    },
  },
  '/v1/responses': { readEvent: readResponseEvent, readWhole: readResponse },
  '/v1/embeddings': {
    readEvent: readHead,
    readWhole: (answer, json) => {
      readHead(answer, json)
      answer.notes.add('the embeddings themselves')
      return Array.isArray(json.data)
    },
  },
} satisfies Record<string, Endpoint>
export type EndpointPath = keyof typeof endpoints

function readMessage(answer: Answer, item: Json, message: Json): void {
  const choice = choiceAt(answer, item.index)
  if (choice === undefined) return
  addText(answer, choice, 'text', message.content)
  addText(answer, choice, 'reasoning', message.reasoning_content ?? message.reasoning)
  addText(answer, choice, 'refusal', message.refusal)
  for (const [place, call] of asArray(message.tool_calls).map(asObject).entries()) {
    const called = asObject(call.function ?? call.custom)
    addToolCall(answer, choice, Number(call.index ?? place), call.id, called.name, called.arguments ?? called.input)
  }
  setFinish(choice, item.finish_reason)
}

function readTextChoices(answer: Answer, json: Json): void {
  readHead(answer, json)
  for (const item of asArray(json.choices).map(asObject)) {
    const choice = choiceAt(answer, item.index)
    if (choice === undefined) continue
    addText(answer, choice, 'text', item.text)
    setFinish(choice, item.finish_reason)
  }
}

/** Pieces as they come; the last event has the whole again, and is taken in their place. */
function readResponseEvent(answer: Answer, json: Json): void {
  const choice = choiceAt(answer, 0)!
  switch (json.type) {
    case 'response.output_text.delta':
      addText(answer, choice, 'text', json.delta)
      return
    case 'response.refusal.delta':
      addText(answer, choice, 'refusal', json.delta)
      return
    case 'response.completed':
    case 'response.incomplete':
    case 'response.failed': {
      answer.choices.clear()
      answer.size = 0
      readResponse(answer, asObject(json.response))
      answer.isEnded = true
      return
    }
    case 'error':
      readError(answer, json.error ?? json)
      return
    default:
      readHead(answer, asObject(json.response))
  }
}

function readResponse(answer: Answer, json: Json): boolean {
  readHead(answer, json)
  const choice = choiceAt(answer, 0)!
  for (const item of asArray(json.output).map(asObject)) {
    if (item.type === 'function_call') {
      addToolCall(answer, choice, choice.tool_calls.length, item.call_id ?? item.id, item.name, item.arguments)
    }
    for (const part of asArray(item.type === 'reasoning' ? item.summary : item.content).map(asObject)) {
      addText(answer, choice, item.type === 'reasoning' ? 'reasoning' : 'text', part.text)
      addText(answer, choice, 'refusal', part.refusal)
    }
  }
  setFinish(choice, asObject(json.incomplete_details).reason ?? json.status)
  return Array.isArray(json.output)
}
