import type { RunStatus } from '@plumbline/contracts'
import { StateBadge, type Tone } from '../parts/state-badge.tsx'

const tones: Record<RunStatus, Tone> = {
  running: 'good',
  finished: 'quiet',
  interrupted: 'watch',
  failed: 'bad',
  killed: 'bad',
  unreadable: 'bad',
}

export function RunBadge({ status }: { readonly status: RunStatus }) {
  return <StateBadge tone={tones[status]}>{status}</StateBadge>
}
