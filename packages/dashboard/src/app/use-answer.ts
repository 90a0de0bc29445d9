import { useCallback, useEffect, useRef, useState } from 'react'
import { type ApiError, call, failureOf } from './api.ts'

/** What the server answers, and how it stands with it: none of the three is shown as another. */
export interface Answer<Data> {
  /** The last good one, also while `error` says that the newest try failed. */
  readonly data: Data | undefined
  readonly error: ApiError | undefined
  /** Asks again now. */
  readonly refresh: () => void
}

/** How long to wait for the next time, maybe by what came last. One function for all times: it is compared by identity. */
type Pace<Data> = number | ((last: Data | undefined) => number)

/**
 * Asks for a path, and again every `everyMs` while the page is visible. Polling and not a stream: nothing to keep open
 * through proxies, and a server that was away is found again by itself.
 */
export function useAnswer<Data>(path: string, everyMs?: Pace<Data>): Answer<Data> {
  const [state, setState] = useState<{ path: string; data?: Data; error?: ApiError }>({ path })
  const ask = useRef(() => {})
  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const next = async () => {
      clearTimeout(timer)
      let data: Data | undefined
      try {
        data = await call<Data>(path, { signal: abort.signal })
        if (!abort.signal.aborted) setState({ path, data })
      } catch (thrown) {
        if (abort.signal.aborted) return
        const error = failureOf(thrown)
        setState((before) => ({ ...(before.path === path ? before : {}), path, error }))
      }
      const waitMs = typeof everyMs === 'function' ? everyMs(data) : everyMs
      if (waitMs !== undefined && !abort.signal.aborted) timer = setTimeout(askIfVisible, waitMs)
    }
    const askIfVisible = () => {
      if (document.visibilityState === 'visible') void next()
    }
    ask.current = () => void next()
    document.addEventListener('visibilitychange', askIfVisible)
    void next()
    return () => {
      abort.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', askIfVisible)
    }
  }, [path, everyMs])
  const refresh = useCallback(() => ask.current(), [])
  const { data, error } = state.path === path ? state : { data: undefined, error: undefined }
  return { data, error, refresh }
}
