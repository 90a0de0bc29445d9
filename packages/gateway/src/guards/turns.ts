/** Who waits for a turn of the event loop, in the order in which they came. */
const waiting: (() => void)[] = []

/**
 * Lets all else go on before a long work does. Of all long works of the process one goes on in a turn of the event loop,
 * so however many there are, others wait for one piece of work and not for a piece of each.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    if (waiting.length === 1) setImmediate(callNext)
  })
}

function callNext(): void {
  waiting.shift()!()
  if (waiting.length > 0) setImmediate(callNext)
}

/** How much of its turn a long work has used, in characters that it has gone through. */
export class Pace {
  private chars = 0
  private readonly charsATurn: number

  constructor(charsATurn: number) {
    this.charsATurn = charsATurn
  }

  spend(chars: number): void {
    this.chars += chars
  }

  /** The work goes on in its next turn. */
  get isSpent(): boolean {
    return this.chars >= this.charsATurn
  }

  async nextTurn(): Promise<void> {
    await turn()
    this.chars = 0
  }
}

/** Does a work that yields how many characters it has gone through, as long as somebody waits for it. */
export async function inTurns<T>(work: Generator<number, T>, pace: Pace, isOver: () => boolean): Promise<T> {
  for (let step = work.next(); ; step = work.next()) {
    if (step.done) return step.value
    pace.spend(step.value)
    if (!pace.isSpent) continue
    await pace.nextTurn()
    if (isOver()) throw new Error('nobody waits any more')
  }
}
