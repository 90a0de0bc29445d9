import { Alert } from '@mantine/core'
import type { RunDetail } from '@plumbline/contracts'
import { visible } from '../parts/content.tsx'

type Ending = Pick<RunDetail, 'status' | 'error' | 'command' | 'checkpoint_step' | 'job'>

/** Why a run is not going on, and what can be done; nothing for one that does, or is done. */
export function RunEnd(run: Ending) {
  const { status, error } = run
  if (status === 'running' || status === 'finished') return null
  const isStop = status === 'interrupted'
  return (
    <Alert color={isStop ? 'yellow' : 'red'} title={titles[status]}>
      {error !== null && (
        <p>
          <strong>{visible(error.code)}</strong> {visible(error.message)}
        </p>
      )}
      <p>{nextStep(run)}</p>
    </Alert>
  )
}

const titles = {
  interrupted: 'It was stopped before its end',
  failed: 'It ended with an error',
  killed: 'Its process ended without a word',
  unreadable: 'It cannot be read',
}

function nextStep({ status, command, checkpoint_step, job }: Ending): string {
  if (status === 'unreadable') return 'What else lies in its folder is shown as far as it can be read.'
  const again = job === null ? `plumb ${visible(command ?? '')} --resume` : 'plumb align'
  const from = checkpoint_step === null ? 'starts anew: it has no checkpoint' : `goes on from step ${checkpoint_step}`
  return `${again} with the same --output ${from}.`
}
