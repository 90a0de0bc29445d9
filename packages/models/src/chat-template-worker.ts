import { type MessagePort, workerData } from 'node:worker_threads'
import { boundBuiltins, checkList, checkText, TemplateLimit } from './bounded-builtins.ts'
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

class TemplateRaised extends Error {}

/** Bounds every value as it is made: a list that doubles in a loop would end the process, not only this thread. */
class BoundedInterpreter extends Interpreter {
  override evaluate(node: unknown, env: JinjaEnvironment) {
    const result = super.evaluate(node, env)
    const value: unknown = result?.value // `first` of an empty list gives nothing at all
    if (typeof value === 'string') checkText(value.length)
    if (Array.isArray(value)) checkList(value.length)
    // The library prints truth values as JavaScript does.
    if (result && typeof value === 'boolean') result.toString = () => (value ? 'True' : 'False')
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
  checkList(length)
  return Array.from({ length }, (_, i) => start + i * step)
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 2000)
}

boundBuiltins()
const { control, port } = workerData as { control: Int32Array; port: MessagePort }
port.on('message', (request: RenderRequest) => {
  port.postMessage(render(request))
  Atomics.store(control, 0, 1)
  Atomics.notify(control, 0)
})
