import { type Guard, type GuardContext, isEnforcing } from './guard.ts'
import { type Asked, ask, stops } from './run.ts'

export interface WholeAnswer {
  readonly guard: Guard
  readonly answer: Asked
  readonly ms: number
}

/** The guards that need a whole answer: asked at its end, layer by layer; those of one layer together. */
export class WholeStage {
  readonly answers: WholeAnswer[] = []
  private readonly guards: readonly Guard[]
  private readonly context: GuardContext
  private readonly textFor: (guard: Guard) => string

  constructor(guards: readonly Guard[], context: GuardContext, textFor: (guard: Guard) => string) {
    this.guards = guards.filter(({ look }) => look.by === 'whole')
    this.context = context
    this.textFor = textFor
  }

  /** Asks those that enforce, until one stops the answer. Gives that one. */
  async enforce(): Promise<WholeAnswer | undefined> {
    const enforcing = this.guards.filter(isEnforcing)
    for (const layer of [...new Set(enforcing.map((guard) => guard.layer))].sort((a, b) => a - b)) {
      const asked = await this.ask(enforcing.filter((guard) => guard.layer === layer))
      const stopping = asked.find(({ guard, answer }) => stops(guard, answer))
      if (stopping !== undefined) return stopping
    }
    return undefined
  }

  /** Asks those that only observe, all together. */
  async observe(): Promise<void> {
    await this.ask(this.guards.filter((guard) => !isEnforcing(guard)))
  }

  private async ask(guards: readonly Guard[]): Promise<WholeAnswer[]> {
    const asked = await Promise.all(
      guards.map(async (guard): Promise<WholeAnswer> => {
        const text = this.textFor(guard)
        const started = performance.now()
        const answer =
          text === '' || guard.look.by !== 'whole' ? nothing : await ask(guard, guard.look.judge, text, this.context)
        return { guard, answer, ms: performance.now() - started }
      }),
    )
    this.answers.push(...asked)
    return asked
  }
}

const nothing: Asked = { isFlagged: false, score: null, label: null }
