import { Alert, Button, Skeleton, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import type { ApiError } from '../api.ts'
import type { Answer } from '../use-answer.ts'

interface PageFrameProps {
  readonly title: string
  /** Beside the title. */
  readonly tools?: ReactNode
  readonly children: ReactNode
}

export function PageFrame({ title, tools, children }: PageFrameProps) {
  return (
    <div className="page">
      <div className="page-head">
        <Title order={1} size="h2">
          {title}
        </Title>
        {tools}
      </div>
      {children}
    </div>
  )
}

interface LoadedProps<Data> {
  readonly answer: Answer<Data>
  readonly children: (data: Data) => ReactNode
}

/** Waiting, failed and there are three things to see; old data stay, with what is wrong said above them. */
export function Loaded<Data>({ answer: { data, error, refresh }, children }: LoadedProps<Data>) {
  return (
    <>
      {error !== undefined && <Trouble error={error} isOld={data !== undefined} onAgain={refresh} />}
      {data !== undefined && children(data)}
      {data === undefined && error === undefined && <Waiting />}
    </>
  )
}

export function Waiting() {
  return (
    <div role="status" aria-label="Loading">
      <Skeleton height={90} mb="md" />
      <Skeleton height={220} />
    </div>
  )
}

interface TroubleProps {
  readonly error: ApiError
  readonly isOld?: boolean
  readonly onAgain?: () => void
}

export function Trouble({ error, isOld = false, onAgain }: TroubleProps) {
  return (
    <Alert color="red" role="alert" title={isOld ? 'What is shown may be old' : 'This did not work'} mb="md">
      <p>{error.message}</p>
      {onAgain !== undefined && (
        <Button size="xs" variant="default" onClick={onAgain}>
          Try again
        </Button>
      )}
    </Alert>
  )
}

/** A list without entries says so, and what would fill it. */
export function Nothing({ children }: { readonly children: ReactNode }) {
  return <p className="nothing">{children}</p>
}
