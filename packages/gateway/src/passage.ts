import type { ServerResponse } from 'node:http'
import { RequestError } from './openai-error.ts'

/** One request under way: a drain waits for it, and cuts it when it cannot wait any longer. */
export class Passage {
  private act = () => {}
  private isCut = false
  end = () => {}
  readonly done = new Promise<void>((resolve) => {
    this.end = resolve
  })

  cut(): void {
    if (this.isCut) return
    this.isCut = true
    this.act()
  }

  /** What a cut does from now on. */
  onCut(act: () => void): void {
    this.act = act
    if (this.isCut) act()
  }

  /** `work`, or a RequestError in its place, and `stop`: at a cut, after so long, or when the client has gone. */
  orEnd<T>(work: Promise<T>, stop: () => void, { res, ms }: { res: ServerResponse; ms: number }): Promise<T> {
    let forget = () => {}
    const ended = new Promise<never>((_, reject) => {
      const end = (status: number, code: string, message: string) => () => {
        stop()
        reject(new RequestError(status, code, message))
      }
      const onGone = end(400, 'client_gone', 'The client has gone.')
      const timer = setTimeout(end(504, 'guards_timeout', 'The guards of this service took too long.'), ms)
      this.onCut(end(503, 'shutdown', 'The gateway is shutting down.'))
      res.once('close', onGone)
      forget = () => {
        clearTimeout(timer)
        res.off('close', onGone)
      }
    })
    return Promise.race([work, ended]).finally(forget)
  }
}
