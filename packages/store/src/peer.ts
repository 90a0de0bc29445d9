/** Calls between two processes or threads, in both directions: each end answers those of the other. */
export interface Peer<Theirs extends Methods> {
  call<Name extends keyof Theirs & string>(
    name: Name,
    ...values: Parameters<Theirs[Name]>
  ): Promise<Awaited<ReturnType<Theirs[Name]>>>
  /** What waits for an answer, and what is called from now on, fails with this. */
  end(error: Error): void
}

// biome-ignore lint/suspicious/noExplicitAny: what a method takes is its own matter
export type Methods = Readonly<Record<string, (...values: any[]) => unknown>>

/** Such as a `ChildProcess` and, in that one, `process`; messages are copied as `structuredClone` does. */
export interface Channel {
  send?(message: Message, done: () => void): unknown
  on(event: 'message', listener: (message: Message) => void): unknown
}

export type Message =
  | { readonly call: number; readonly name: string; readonly values: readonly unknown[] }
  | { readonly reply: number; readonly value: unknown }
  | { readonly reply: number; readonly failure: { readonly message: string; readonly code: string | undefined } }

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** An error crosses with its message and its code alone. */
export function createPeer<Theirs extends Methods>(channel: Channel, ours: Methods): Peer<Theirs> {
  const waiting = new Map<number, Waiting>()
  let last = 0
  let ended: Error | undefined

  const answer = async (reply: number, name: string, values: readonly unknown[]): Promise<Message> => {
    try {
      return { reply, value: await ours[name](...values) }
    } catch (error) {
      const { message, code } = error as Error & { code?: string }
      return { reply, failure: { message, code } }
    }
  }
  // The other end may have gone meanwhile; whoever minds sees that by its `exit` or `disconnect`.
  const send = (message: Message) => void channel.send?.(message, () => {})

  channel.on('message', async (message) => {
    // What a process had said before it ended may come after that.
    if (ended !== undefined) return
    if ('call' in message) return send(await answer(message.call, message.name, message.values))
    const request = waiting.get(message.reply)
    waiting.delete(message.reply)
    if ('value' in message) request?.resolve(message.value)
    else request?.reject(Object.assign(new Error(message.failure.message), { code: message.failure.code }))
  })

  return {
    call: (name, ...values) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) return reject(ended)
        const call = ++last
        send({ call, name, values })
        waiting.set(call, { resolve: (value) => resolve(value as never), reject })
      }),
    end: (error) => {
      ended ??= error
      for (const { reject } of waiting.values()) reject(ended)
      waiting.clear()
    },
  }
}
