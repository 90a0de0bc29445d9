import { PlumblineError } from '@plumbline/contracts'

/** What a pull tells while it works. `bytes` counts from the file's start, resumed bytes included. */
export interface PullEvent {
  kind: 'start' | 'progress' | 'done' | 'waiting' | 'fallback'
  /** The file (or package) at work; the model's name where no file is meant. */
  file: string
  bytes: number
  totalBytes: number
  message?: string
}

export type OnProgress = (event: PullEvent) => void

/** Throws ABORTED when the signal has fired. Everything that was already fetched stays on the disk. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (!signal?.aborted) return
  if (signal.reason instanceof PlumblineError) throw signal.reason
  throw new PlumblineError('ABORTED', `Stopped while pulling ${what}. What was fetched is kept.`, {
    hint: 'The same command continues where it stopped.',
    cause: signal.reason,
  })
}
