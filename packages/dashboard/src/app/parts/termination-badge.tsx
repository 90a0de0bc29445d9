import type { Termination } from '@plumbline/contracts'
import { StateBadge, type Tone } from './state-badge.tsx'

/** Ends that are nobody's fault, or meant. */
const tones: Partial<Record<Termination, Tone>> = {
  completed: 'good',
  client_abort: 'quiet',
  client_stalled: 'quiet',
  shutdown: 'quiet',
  input_blocked: 'watch',
  fallback_answer: 'watch',
}

export function TerminationBadge({ termination }: { readonly termination: Termination }) {
  return <StateBadge tone={tones[termination] ?? 'bad'}>{termination.replaceAll('_', ' ')}</StateBadge>
}
