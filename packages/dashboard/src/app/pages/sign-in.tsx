import { Alert, Button, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core'
import type { Session } from '@plumbline/contracts'
import { type FormEvent, useState } from 'react'
import { type ApiError, call, failureOf } from '../api.ts'

interface SignInProps {
  readonly trouble: ApiError | undefined
  readonly onSignedIn: (session: Session) => void
}

/** A key begins a session; the key itself is not kept. */
export function SignIn({ trouble, onSignedIn }: SignInProps) {
  const [key, setKey] = useState('')
  const [error, setError] = useState(trouble)
  const [isBusy, setIsBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setIsBusy(true)
    try {
      onSignedIn(await call<Session>('/api/session', { method: 'POST', key: key.trim() }))
    } catch (failure) {
      setError(failureOf(failure))
      setIsBusy(false)
    }
  }
  return (
    <main className="door">
      <Paper withBorder p="xl" radius="md" className="door-card">
        <form onSubmit={submit}>
          <Stack>
            <div>
              <img src="/icon.svg" alt="" width="36" height="36" />
              <Title order={1} size="h2">
                Plumbline
              </Title>
            </div>
            {error !== undefined && (
              <Alert color="red" role="alert" title="Not signed in">
                {explain(error)}
              </Alert>
            )}
            {/* So that password managers keep the key under a name. */}
            <input type="text" name="username" autoComplete="username" defaultValue="plumbline" hidden />
            <PasswordInput
              label="Key"
              description="An administrator’s or a reviewer’s; plumb serve shows the first one when it starts."
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
              autoComplete="current-password"
              required
              withAsterisk={false}
              visibilityToggleButtonProps={{ 'aria-label': 'Show the key' }}
            />
            <Button type="submit" loading={isBusy}>
              Sign in
            </Button>
            <Text size="sm" c="dimmed">
              The session lasts twelve hours, or until you sign out.
            </Text>
          </Stack>
        </form>
      </Paper>
    </main>
  )
}

function explain({ code, message }: ApiError): string {
  if (code === 'invalid_api_key') return 'This key is not good: it is mistyped, or was revoked.'
  if (code === 'wrong_scope') return 'A client’s key opens the models, not these pages.'
  return message
}
