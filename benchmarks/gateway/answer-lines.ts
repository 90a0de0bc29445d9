import { createInterface } from 'node:readline'

type Operation = (request: Readonly<Record<string, unknown>>) => unknown

/** The other end of startLineProcess: one JSON line of an answer for each on stdin, in their order. */
export async function answerLines(operations: Readonly<Record<string, Operation>>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...request } = JSON.parse(line)
    const answer = await Promise.resolve(operations[op](request)).catch((error: Error) => ({ error: error.message }))
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
  process.exit()
}
