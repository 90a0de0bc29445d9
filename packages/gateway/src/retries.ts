export interface RetryOptions {
  /** Further attempts of one request, at most. */
  readonly max: number
  /** Of all requests together: this share of them may be one attempt more. */
  readonly budget: number
  /** Before the same upstream is asked again: chance between 0 and this, doubled each time. */
  readonly baseMs: number
  /** The longest wait; an upstream that asks for more is not asked again. */
  readonly maxWaitMs: number
}

/** What may be spent at once after a quiet time. */
const burst = 10

/** So that retries never multiply a load that is too much already: a token bucket that requests fill. */
export class RetryBudget {
  readonly share: number
  private tokens: number
  private readonly most: number

  constructor(share: number) {
    this.share = share
    this.most = share === 0 ? 0 : burst
    this.tokens = this.most
  }

  /** A request came. */
  add(): void {
    this.tokens = Math.min(this.most, this.tokens + this.share)
  }

  /** Gives whether there is one. */
  take(): boolean {
    // 0.1 ten times is a little less than 1.
    if (this.tokens < 1 - 1e-9) return false
    this.tokens -= 1
    return true
  }
}

/**
 * How long to wait before an upstream is asked for the `nth` time again (from 0): what it asked for, and chance on top.
 * Full jitter: clients that failed together come back apart. `random` is in [0, 1).
 */
export function retryWait(nth: number, pauseMs: number, { baseMs, maxWaitMs }: RetryOptions, random: number): number {
  return pauseMs + random * Math.min(maxWaitMs, baseMs * 2 ** nth)
}

/** What an upstream asks for, in milliseconds: seconds, a date, or OpenAI's own header. */
export function readRetryAfter(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const { 'retry-after-ms': ms = '', 'retry-after': text = '' } = headers
  if (/^\d{1,9}(\.\d{1,9})?$/.test(ms)) return Number(ms)
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text)) return Number(text) * 1000
  // HTTP's own form: Date.parse alone takes nearly anything for a date.
  const date = text.endsWith(' GMT') ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
