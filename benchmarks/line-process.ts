/** A process that answers JSON lines on stdout, one for each on its stdin. It keeps its state and its warmth. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { PlumblineError } from '@plumbline/contracts'

/** One call at a time. */
export interface LineProcess {
  /** Throws PEER_FAILED with the process's own words. */
  call<Answer>(op: string, request?: Readonly<Record<string, unknown>>): Promise<Answer>
  /** Ends it; resolves when it is gone and its memory is free. */
  close(): Promise<void>
}

export function startLineProcess(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): LineProcess {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: env ?? process.env })
  const gone = new Promise<void>((resolve) => {
    child.on('close', () => resolve())
  })
  return {
    call: lineCalls(child as unknown as ChildProcessWithoutNullStreams),
    async close() {
      child.kill()
      await gone
    },
  }
}

function lineCalls(child: ChildProcessWithoutNullStreams): LineProcess['call'] {
  const { stdin, stdout } = child
  let waiting: { resolve: (answer: never) => void; reject: (error: Error) => void } | undefined
  const fail = (why: string) => waiting?.reject(new PlumblineError('PEER_FAILED', `the peer ${why}.`))
  child.on('error', (error) => fail(`does not start: ${error.message}`))
  child.on('exit', (code, signal) => fail(`ended with ${code ?? signal}`))
  stdin.on('error', () => fail('does not listen'))
  createInterface({ input: stdout }).on('line', (line) => {
    const answer = JSON.parse(line)
    if (answer.error === undefined) waiting?.resolve(answer as never)
    else fail(`says ${answer.error}`)
  })
  return (op, request = {}) =>
    new Promise((resolve, reject) => {
      waiting = { resolve, reject }
      if (child.exitCode !== null || child.signalCode !== null) fail('is gone')
      else stdin.write(`${JSON.stringify({ op, ...request })}\n`)
    })
}
