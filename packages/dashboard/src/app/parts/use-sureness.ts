import { useState } from 'react'

const doubleClickMs = 700

/** Asks once more before that from which there is no way back. The second click of a double click is no answer. */
export function useSureness() {
  const [askedAt, setAskedAt] = useState<number>()
  return {
    isAsked: askedAt !== undefined,
    /** Whether this is the answer; the first time it asks. */
    confirm: () => {
      if (askedAt === undefined) setAskedAt(performance.now())
      if (askedAt === undefined || performance.now() - askedAt < doubleClickMs) return false
      setAskedAt(undefined)
      return true
    },
    forget: () => setAskedAt(undefined),
  }
}
