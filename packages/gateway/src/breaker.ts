export interface BreakerOptions {
  /** Share of failed attempts at which the upstream is left alone. */
  readonly failureRate: number
  readonly windowMs: number
  /** With fewer attempts in the window nothing is concluded. */
  readonly minAttempts: number
  /** How long it is left alone before one attempt tries again. */
  readonly pauseMs: number
}

export type BreakerState = 'closed' | 'open' | 'half_open'

/** How one attempt went. The first word counts as its result; `failed` after `succeeded` is one more. */
export interface Trial {
  succeeded(): void
  failed(): void
  /** It ended without saying anything of the upstream. */
  dropped(): void
}

const slices = 10

/**
 * Leaves an upstream alone that fails too often. Half open, one attempt at a time finds out whether it is back; one that
 * has said nothing for a pause, as a long answer in one piece may, is joined by another.
 */
export class Breaker {
  private readonly options: BreakerOptions
  /** Milliseconds that never go back. */
  private readonly clock: () => number
  private window: { slice: number; succeeded: number; failed: number }[] = []
  private openUntil: number | undefined
  private probedAt: number | undefined

  constructor(options: BreakerOptions, clock: () => number) {
    this.options = options
    this.clock = clock
  }

  get state(): BreakerState {
    if (this.openUntil === undefined) return 'closed'
    return this.clock() < this.openUntil ? 'open' : 'half_open'
  }

  /** Whether an attempt may go now. */
  get allows(): boolean {
    if (this.state !== 'half_open') return this.state === 'closed'
    return this.probedAt === undefined || this.clock() >= this.probedAt + this.options.pauseMs
  }

  /** Until an attempt may go. */
  get waitMs(): number {
    return Math.max(0, (this.openUntil ?? 0) - this.clock())
  }

  begin(): Trial {
    let isProbe = this.state === 'half_open'
    let isSettled = false
    const begunAt = this.clock()
    const opening = this.openUntil
    if (isProbe) this.probedAt = begunAt
    const settle = (result: () => void) => () => {
      result()
      if (isProbe && this.probedAt === begunAt) this.probedAt = undefined
      isProbe = false
      isSettled = true
    }
    return {
      succeeded: settle(() => {
        // Whenever the probe began: the upstream is back.
        if (isProbe && this.openUntil !== undefined) this.close()
        else if (!isSettled) this.count('succeeded')
      }),
      failed: settle(() => {
        if (!isProbe) this.count('failed')
        // Of an opening that another probe has ended it says nothing of now.
        else if (this.openUntil === opening) this.open()
      }),
      dropped: settle(() => {}),
    }
  }

  private count(result: 'succeeded' | 'failed'): void {
    // What began before it opened says nothing of now.
    if (this.openUntil !== undefined) return
    const { windowMs, minAttempts, failureRate } = this.options
    const slice = Math.floor((this.clock() * slices) / windowMs)
    if (this.window.at(-1)?.slice !== slice) {
      this.window = this.window.filter((one) => one.slice > slice - slices)
      this.window.push({ slice, succeeded: 0, failed: 0 })
    }
    this.window[this.window.length - 1][result]++
    const failed = this.window.reduce((sum, one) => sum + one.failed, 0)
    const all = this.window.reduce((sum, one) => sum + one.succeeded, failed)
    if (all >= minAttempts && failed / all >= failureRate && failed > 0) this.open()
  }

  private open(): void {
    this.openUntil = this.clock() + this.options.pauseMs
    this.probedAt = undefined
    this.window = []
  }

  private close(): void {
    this.openUntil = undefined
    this.probedAt = undefined
    this.window = []
  }
}
