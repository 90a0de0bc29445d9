import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { Environment, Interpreter, type JinjaEnvironment, Template } from './hf-libraries.ts'
import { strftime } from './strftime.ts'

/**
 * Renders chat templates in a thread that may be killed. The caller sleeps on `control` until it is 1.
 * A template sees the variables of the request and the functions below, nothing else.
 */

export interface RenderRequest {
  templateId: number
  /** Sent with the first request of an id only. */
  template?: string
  variables: Record<string, unknown>
  /** Milliseconds since 1970, what `strftime_now` shows. */
  nowMs: number
}

export type RenderReply = { text: string } | { kind: 'syntax' | 'raised' | 'limit' | 'failed'; message: string }

/** Longest rendering, in UTF-16 units; a context of a million tokens is a quarter of it. */
const MAX_OUTPUT_LENGTH = 1 << 24
/** Longest list a template may make. */
const MAX_LIST_LENGTH = 1 << 20

class TemplateRaised extends Error {}
class TemplateLimit extends Error {}

/** Bounds every value as it is made: a list that doubles in a loop would end the process, not only this thread. */
class BoundedInterpreter extends Interpreter {
  override evaluate(node: unknown, env: JinjaEnvironment) {
    const result = super.evaluate(node, env)
    const value: unknown = result?.value // `first` of an empty list gives nothing at all
    if (typeof value === 'string' && value.length > MAX_OUTPUT_LENGTH) {
      throw new TemplateLimit(`it makes a text of more than ${MAX_OUTPUT_LENGTH} characters`)
    }
    if (Array.isArray(value) && value.length > MAX_LIST_LENGTH) {
      throw new TemplateLimit(`it makes a list of more than ${MAX_LIST_LENGTH} items`)
    }
    return result
  }
}

const templates = new Map<number, InstanceType<typeof Template>>()

function render({ templateId, template, variables, nowMs }: RenderRequest): RenderReply {
  if (template !== undefined) {
    try {
      templates.set(templateId, new Template(template))
    } catch (error) {
      return { kind: 'syntax', message: messageOf(error) }
    }
  }
  const program = templates.get(templateId)
  if (program === undefined) return { kind: 'failed', message: 'the template is not known' }
  try {
    return { text: new BoundedInterpreter(environment(variables, nowMs)).run(program.parsed).toString() }
  } catch (error) {
    const kind = error instanceof TemplateRaised ? 'raised' : error instanceof TemplateLimit ? 'limit' : 'failed'
    return { kind, message: messageOf(error) }
  }
}

function environment(variables: Record<string, unknown>, nowMs: number): JinjaEnvironment {
  const env = new Environment()
  for (const [name, value] of Object.entries({
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
  })) {
    env.set(name, value)
  }
  env.set('raise_exception', (message: unknown) => {
    throw new TemplateRaised(String(message))
  })
  env.set('strftime_now', (format: unknown) => strftime(new Date(nowMs), String(format)))
  env.set('range', range)
  for (const [name, value] of Object.entries(variables)) if (!env.variables.has(name)) env.set(name, value)
  return env
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const length = Math.max(0, Math.ceil((stop - start) / step))
  if (!(length <= MAX_LIST_LENGTH)) throw new TemplateLimit(`range() makes more than ${MAX_LIST_LENGTH} items`)
  return Array.from({ length }, (_, i) => start + i * step)
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 2000)
}

const control = workerData as Int32Array
parentPort?.on('message', ({ request, port }: { request: RenderRequest; port: MessagePort }) => {
  port.postMessage(render(request))
  Atomics.store(control, 0, 1)
  Atomics.notify(control, 0)
})
