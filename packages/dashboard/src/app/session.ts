import type { Session } from '@plumbline/contracts'
import { createContext, useContext } from 'react'

export interface SignedIn extends Session {
  readonly signOut: () => void
}

export const SessionContext = createContext<SignedIn | undefined>(undefined)

/** Who is signed in; only below the sign-in page. */
export function useSession(): SignedIn {
  const session = useContext(SessionContext)
  if (session === undefined) throw new Error('nobody is signed in here')
  return session
}
