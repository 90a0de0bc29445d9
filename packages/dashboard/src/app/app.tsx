import { MantineProvider } from '@mantine/core'
import type { Session } from '@plumbline/contracts'
import { useEffect, useMemo, useState } from 'react'
import { type ApiError, call, failureOf, rememberCsrfToken, watchSession } from './api.ts'
import { SignIn } from './pages/sign-in.tsx'
import { SessionContext } from './session.ts'
import { Shell } from './shell.tsx'
import { theme } from './theme.ts'

/** Everything: whoever has no session sees the sign-in page alone. */
export function App() {
  return (
    // Its variables come from a style sheet, not from a style element: the server's policy allows none.
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <Door />
    </MantineProvider>
  )
}

type Visitor = 'unknown' | 'nobody' | Session

function Door() {
  const [visitor, setVisitor] = useState<Visitor>('unknown')
  const [trouble, setTrouble] = useState<ApiError>()
  useEffect(() => {
    watchSession(() => setVisitor('nobody'))
    call<Session>('/api/session').then(setVisitor, (thrown) => {
      const error = failureOf(thrown)
      if (error.status !== 401) setTrouble(error)
      setVisitor('nobody')
    })
  }, [])
  const session = useMemo(() => {
    if (typeof visitor === 'string') return undefined
    rememberCsrfToken(visitor.csrf_token)
    const signOut = async () => {
      await call('/api/session', { method: 'DELETE' }).catch(() => {})
      setVisitor('nobody')
    }
    return { ...visitor, signOut }
  }, [visitor])
  if (visitor === 'unknown') return <Opening />
  if (session === undefined) return <SignIn trouble={trouble} onSignedIn={setVisitor} />
  return (
    <SessionContext value={session}>
      <Shell />
    </SessionContext>
  )
}

/** As index.html has it, so that nothing moves when the script takes over. */
function Opening() {
  return (
    <main className="opening">
      <img src="/icon.svg" alt="" width="24" height="24" />
      <h1>Plumbline</h1>
    </main>
  )
}
