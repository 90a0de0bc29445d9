import type { ChildProcess } from 'node:child_process'
import { PlumblineError } from '@plumbline/contracts'
import type { Conversation, RewardModel } from '@plumbline/gateway'

/** One call, as the process is sent it. */
export interface ScoreCall {
  readonly call: number
  readonly asked: Conversation
  readonly answers: readonly string[]
}
/** Nobody waits for that one any more. */
export interface ScoreCancel {
  readonly cancel: number
}
export type ScoreReply =
  | { readonly call: number; readonly rewards: number[] }
  | { readonly call: number; readonly error: { readonly code: string; readonly message: string } }

export interface ScoreQueueOptions {
  /** Calls that wait for the process, at most. */
  readonly maxWaiting: number
  /** A process that takes longer for one call is killed. */
  readonly stuckMs: number
}

/** Characters of a conversation and one answer; a longer text is not even sent. */
const maxChars = 200_000

interface Job extends Pick<ScoreCall, 'asked' | 'answers'> {
  readonly resolve: (rewards: number[]) => void
  readonly reject: (error: unknown) => void
}

/** Hands a process one call at a time, so that one which nobody waits for any more can leave the queue. */
export class ScoreQueue {
  private readonly options: ScoreQueueOptions
  private readonly waiting = new Set<Job>()
  private child: ChildProcess | undefined
  private current: { readonly call: number; readonly job: Job; readonly timer: NodeJS.Timeout } | undefined
  private calls = 0

  constructor(options: ScoreQueueOptions) {
    this.options = options
  }

  state() {
    return { isUp: this.child !== undefined, waiting: this.waiting.size + (this.current === undefined ? 0 : 1) }
  }

  score: RewardModel['score'] = (asked, answers, signal) => {
    const refused = this.refusal(asked, answers)
    if (refused !== undefined) return Promise.reject(refused)
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const leave = () => {
        this.waiting.delete(job)
        this.cancel(job)
        reject(signal.reason)
      }
      const settled = () => signal.removeEventListener('abort', leave)
      const job: Job = {
        asked,
        answers,
        resolve: (rewards) => {
          settled()
          resolve(rewards)
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      }
      signal.addEventListener('abort', leave, { once: true })
      this.waiting.add(job)
      this.sendNext()
    })
  }

  up(child: ChildProcess): void {
    this.child = child
    this.sendNext()
  }

  /** What it was asked is lost: the call may be what ended it, so it is not sent again. */
  down(): void {
    this.child = undefined
    const lost = [...(this.current === undefined ? [] : [this.current.job]), ...this.waiting]
    clearTimeout(this.current?.timer)
    this.current = undefined
    this.waiting.clear()
    for (const { reject } of lost) reject(away())
  }

  take(reply: ScoreReply): void {
    if (this.current?.call !== reply.call) return
    const { job, timer } = this.current
    clearTimeout(timer)
    this.current = undefined
    if ('rewards' in reply) job.resolve(reply.rewards)
    else job.reject(new PlumblineError(reply.error.code, reply.error.message))
    this.sendNext()
  }

  private refusal(asked: Conversation, answers: readonly string[]): PlumblineError | undefined {
    if (this.child === undefined) return away()
    if (this.waiting.size >= this.options.maxWaiting) {
      return new PlumblineError('REWARD_MODEL_BUSY', 'Too many answers wait for the reward model.')
    }
    const own = typeof asked === 'string' ? asked.length : asked.reduce((sum, { content }) => sum + content.length, 0)
    const longest = Math.max(...answers.map(({ length }) => length))
    if (own + longest <= maxChars) return undefined
    return new PlumblineError(
      'REWARD_TEXT_TOO_LONG',
      `A conversation of ${own + longest} characters is too long for the reward model.`,
    )
  }

  /** The process answers soon what it was asked, and is free for the next. */
  private cancel(job: Job): void {
    if (this.current?.job !== job) return
    const cancel: ScoreCancel = { cancel: this.current.call }
    this.child?.send(cancel, () => {})
  }

  private sendNext(): void {
    const { child } = this
    const [job] = this.waiting
    if (child === undefined || this.current !== undefined || job === undefined) return
    this.waiting.delete(job)
    const call = ++this.calls
    // A run of native code cannot be broken off otherwise. Who keeps the process starts another.
    const timer = setTimeout(() => child.kill('SIGKILL'), this.options.stuckMs)
    this.current = { call, job, timer }
    const sent: ScoreCall = { call, asked: job.asked, answers: job.answers }
    // One that cannot be sent is lost with its process, whose end is told by itself.
    child.send(sent, () => {})
  }
}

function away(): PlumblineError {
  return new PlumblineError('REWARD_MODEL_AWAY', 'The process of the reward model has ended and is started again.')
}
