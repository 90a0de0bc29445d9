import { createHash } from 'node:crypto'
import type { KeyLimits } from '@plumbline/contracts'
import type { BestOfOptions } from './best-of.ts'
import type { BreakerOptions } from './breaker.ts'
import type { GuardSet } from './guards/read-guards.ts'
import { RetryBudget, type RetryOptions } from './retries.ts'
import type { Route } from './route.ts'
import { openUpstream, parseUpstreamUrl, type Upstream, type UpstreamOptions, type UpstreamWorld } from './upstream.ts'

/** How long to wait for what, in milliseconds. */
export interface ExchangeTimeouts {
  /** From the request to an upstream to the first event of its streamed answer. */
  readonly firstTokenMs: number
  /** Between two pieces of a stream; and for a client to read what it was sent. */
  readonly idleMs: number
  /** For everything, with all attempts. */
  readonly totalMs: number
}

export interface RouteOptions extends Pick<UpstreamOptions, 'name' | 'url' | 'apiKey' | 'isPrivate'> {
  /** Its share among those that could answer; 0 takes it out. */
  readonly weight: number
  /** Only these; every model when left out. */
  readonly models?: readonly string[]
  /** Asked only when no other can answer. */
  readonly isFallback: boolean
}

/** Everything of the gateway that a reload may change. */
export interface PolicyOptions extends ExchangeTimeouts {
  /** Fallbacks are asked in this order. */
  readonly upstreams: readonly RouteOptions[]
  readonly connectTimeoutMs: number
  readonly maxBodyBytes: number
  /** Answers at a time; past it, a client is asked to come back. */
  readonly maxInFlight: number
  readonly breaker: BreakerOptions
  readonly retries: RetryOptions
  /** For keys that have none of their own. */
  readonly keyLimits: KeyLimits
  /** Given when no upstream gives an answer. */
  readonly fallbackAnswer: string | undefined
  readonly guards?: GuardSet | undefined
  /** Of several answers to a chat the best is given. */
  readonly bestOf?: BestOfOptions | undefined
}

/** One configuration, as long as something in flight was begun under it. */
export interface Policies extends PolicyOptions {
  /** Changes with the configuration; records name it. */
  readonly version: string
  readonly routes: readonly Route[]
  readonly budget: RetryBudget
  /** Keeps its upstreams open until the function that it gives is called. */
  enter(): () => void
}

/** The configuration in force, and how it is exchanged for another. */
export interface PolicyBook {
  readonly current: Policies
  /** Throws when the new one is no good; the old one then stays. What is in flight ends under the old one. */
  apply(options: PolicyOptions): void
  close(): Promise<void>
}

interface Shared {
  readonly upstream: Upstream
  users: number
}

export function createPolicyBook(options: PolicyOptions, world: UpstreamWorld): PolicyBook {
  /** Open upstreams by everything that makes them what they are: an unchanged one keeps its connections and breaker. */
  const shared = new Map<string, Shared>()

  const acquire = (upstreamOptions: UpstreamOptions): string => {
    const identity = JSON.stringify(upstreamOptions)
    const found = shared.get(identity) ?? { upstream: openUpstream(upstreamOptions, world), users: 0 }
    found.users++
    shared.set(identity, found)
    return identity
  }
  const release = (identity: string) => {
    const found = shared.get(identity)
    if (found === undefined || --found.users > 0) return
    shared.delete(identity)
    void found.upstream.close()
  }

  const open = (next: PolicyOptions, budget: RetryBudget): Policies & { retire(): void } => {
    for (const upstream of next.upstreams) parseUpstreamUrl(upstream)
    const identities: string[] = []
    const routes = next.upstreams.map((route): Route => {
      const identity = acquire(upstreamOptionsOf(route, next))
      identities.push(identity)
      return { ...route, upstream: shared.get(identity)!.upstream }
    })
    let users = 1
    const leave = () => {
      if (--users === 0) for (const identity of identities) release(identity)
    }
    const enter = () => {
      if (users === 0) throw new Error('These policies are no longer in force.')
      users++
      return once(leave)
    }
    return { ...next, version: versionOf(next), routes, budget, enter, retire: once(leave) }
  }

  let current = open(options, new RetryBudget(options.retries.budget))
  return {
    get current() {
      return current
    },
    apply: (next) => {
      const share = next.retries.budget
      const opened = open(next, share === current.budget.share ? current.budget : new RetryBudget(share))
      current.retire()
      current = opened
    },
    close: async () => {
      await Promise.all([...shared.values()].map(({ upstream }) => upstream.close()))
      shared.clear()
    },
  }
}

function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    act()
  }
}

function upstreamOptionsOf({ name, url, apiKey, isPrivate }: RouteOptions, options: PolicyOptions): UpstreamOptions {
  const { connectTimeoutMs, maxInFlight: connections, breaker } = options
  return { name, url, apiKey, isPrivate, connectTimeoutMs, connections, breaker }
}

function versionOf(options: PolicyOptions): string {
  const told = { ...options, upstreams: options.upstreams.map(({ apiKey: _, ...rest }) => rest) }
  return createHash('sha256').update(JSON.stringify(told)).digest('hex').slice(0, 12)
}
