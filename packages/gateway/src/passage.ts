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

  /** `work`, or at a cut a RequestError in its place. */
  orCut<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.onCut(() => reject(new RequestError(503, 'shutdown', 'The gateway is shutting down.')))
      work.then(resolve, reject)
    })
  }
}
