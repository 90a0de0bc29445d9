import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { PlumblineError } from '@plumbline/contracts'
import type { RenderReply, RenderRequest } from './chat-template-worker.ts'

/** A parsed template, ready to render. */
export type RenderTemplate = (variables: Record<string, unknown>, now: Date) => string

const MAX_TEMPLATE_LENGTH = 256 * 1024
const TIME_LIMIT_MS = 2000
const MEMORY_LIMIT_MB = 512
/** The thread starts in some 50 ms; a machine under load may take long, and a template is not to blame for it. */
const START_LIMIT_MS = 20_000

interface Sandbox {
  worker: Worker
  port: MessagePort
  control: Int32Array<SharedArrayBuffer>
  known: Set<number>
}

// One thread for the whole process, started at the first rendering: it holds no state but parsed templates.
let sandbox: Sandbox | undefined
let nextTemplateId = 0

/**
 * A chat template, which is a program by a stranger. It is interpreted in a thread of its own that is killed when it
 * takes longer than 2 s or 512 MB, and sees nothing but `variables`. Rendering is synchronous. Messages begin with `name`.
 *
 * Errors: `BAD_CHAT_TEMPLATE` (syntax, failure while rendering), `CHAT_TEMPLATE_REFUSED` (its own `raise_exception`),
 * `CHAT_TEMPLATE_LIMIT` (size, time).
 */
export function compileTemplate(template: string, name = 'The chat template'): RenderTemplate {
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new PlumblineError(
      'CHAT_TEMPLATE_LIMIT',
      `${name} has ${template.length} characters; at most ${MAX_TEMPLATE_LENGTH} are read.`,
      { hint: 'Pass a smaller template with --chat-template.' },
    )
  }
  const templateId = nextTemplateId++
  return (variables, now) => {
    sandbox ??= start()
    const isKnown = sandbox.known.has(templateId)
    const reply = request(
      { templateId, ...(isKnown ? {} : { template }), variables, nowMs: now.getTime() },
      TIME_LIMIT_MS,
    )
    if ('text' in reply) {
      sandbox?.known.add(templateId)
      return reply.text
    }
    throw failure(reply, name)
  }
}

function start(): Sandbox {
  const control = new Int32Array(new SharedArrayBuffer(4))
  const { port1: port, port2: theirs } = new MessageChannel()
  // Run from source the worker is TypeScript, published it is JavaScript.
  const worker = new Worker(
    new URL(`./chat-template-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
    {
      workerData: { control, port: theirs },
      transferList: [theirs],
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT_MB, maxYoungGenerationSizeMb: 32 },
    },
  )
  worker.unref()
  // A thread that ran out of memory is noticed by its silence; without a listener its error would end the process.
  worker.on('error', () => {})
  port.unref()
  sandbox = { worker, port, control, known: new Set() }
  const reply = request({ templateId: -1, template: 'ready', variables: {}, nowMs: 0 }, START_LIMIT_MS)
  if (!('text' in reply)) throw new Error(`The thread for chat templates did not start: ${reply.message}`)
  return sandbox
}

/** Sends one request and sleeps until its answer is there; kills the thread when it is not. */
function request(message: RenderRequest, limitMs: number): RenderReply {
  const { worker, port, control } = sandbox!
  Atomics.store(control, 0, 0)
  port.postMessage(message)
  Atomics.wait(control, 0, 0, limitMs)
  const received = receiveMessageOnPort(port) as { message: RenderReply } | undefined
  if (received) return received.message
  sandbox = undefined
  void worker.terminate()
  return { kind: 'limit', message: `it took longer than ${limitMs / 1000} s or more than ${MEMORY_LIMIT_MB} MB` }
}

function failure({ kind, message }: Exclude<RenderReply, { text: string }>, name: string): PlumblineError {
  const hint = 'Pass another template with --chat-template, or give "prompt" as text.'
  if (kind === 'limit') {
    return new PlumblineError('CHAT_TEMPLATE_LIMIT', `${name} was stopped: ${message}.`, { hint })
  }
  if (kind === 'raised') {
    return new PlumblineError('CHAT_TEMPLATE_REFUSED', `${name} refuses these messages: ${message}`, {
      hint: 'Change the messages (roles, order) to what the model was trained with, or pass another --chat-template.',
    })
  }
  const what = kind === 'syntax' ? 'is not valid Jinja' : 'failed'
  return new PlumblineError('BAD_CHAT_TEMPLATE', `${name} ${what}: ${message}`, { hint })
}
