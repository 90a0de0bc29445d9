import { getPriority, setPriority } from 'node:os'
import { PlumblineError } from '@plumbline/contracts'

/** A kept process's own side: told by its parent what to do, gone when its parent is. */

/** What every kept process may say before it is ready, and of itself. `Ready`: what its parent must know of it. */
export type ChildWord<Ready> =
  | { readonly ready: Ready }
  | { readonly failure: { readonly code: string; readonly message: string; readonly hint: string | undefined } }
  | { readonly warning: string }

/** Says something to the parent. Resolves when the parent's end of the pipe has it. */
export function tell(word: object): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(word, () => resolve())
    else resolve()
  })
}

/** Begins with the parent's first message; what goes wrong then is told as a failure with `code`, and ends the process. */
export function runChild<Request>(code: string, begin: (request: Request) => Promise<void>): void {
  // Ctrl-C in a terminal comes to all processes at once, but the gateway first lets answers end.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit(0))
  process.once('message', (request: Request) => {
    // The gateway's moments of work should not wait for the model's seconds.
    setPriority(Math.min(19, getPriority() + 5))
    begin(request).catch(async (error: unknown) => {
      const known = error instanceof PlumblineError ? error : new PlumblineError(code, String(error))
      await tell({ failure: { code: known.code, message: known.message, hint: known.hint } })
      process.exit(1)
    })
  })
}
