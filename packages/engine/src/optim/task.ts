import type { KernelName, Kernels, SharedFloats } from './kernels.ts'

/** One kernel over equally long operands. */
export interface TaskItem {
  readonly operands: readonly SharedFloats[]
  readonly scalars: readonly number[]
}

/** What the pool does at once: one kernel over many items. Posted to the workers as it is; only memory is shared. */
export interface Task {
  readonly kernel: KernelName
  readonly items: readonly TaskItem[]
  /** See `PROGRESS`. Each task has its own, so a worker that wakes up late finds nothing left and harms nobody. */
  readonly progress: Int32Array<SharedArrayBuffer>
  /** The kernel's sum over each block, in block order. */
  readonly partialSums: Float64Array<SharedArrayBuffer>
}

/** Places in `Task.progress`; after them one count of finished blocks per thread. */
export const PROGRESS = { nextBlock: 0, blocksDone: 1, failed: 2, byThread: 3 } as const

/**
 * Elements that a thread claims at a time. The cut depends on sizes alone, so sums over blocks are the same with any
 * number of threads; 65,536 elements take about 0.1 ms, far more than the claim costs.
 */
export const BLOCK = 65536

/** Where each item's blocks begin; the last entry is the number of blocks in all. */
export function blockStarts(items: readonly TaskItem[]): number[] {
  const starts = [0]
  for (const { operands } of items) starts.push(starts[starts.length - 1] + Math.ceil(operands[0].length / BLOCK))
  return starts
}

export function createTask(kernel: KernelName, items: readonly TaskItem[], threads: number): Task {
  const blocks = blockStarts(items)[items.length]
  return {
    kernel,
    items,
    progress: new Int32Array(new SharedArrayBuffer((PROGRESS.byThread + threads) * 4)),
    partialSums: new Float64Array(new SharedArrayBuffer(blocks * 8)),
  }
}

/** Claims blocks and works on them until none is left. Every thread of the pool runs this on the same task. */
export function workOn(task: Task, kernels: Kernels, thread: number): void {
  const { kernel, items, progress, partialSums } = task
  const starts = blockStarts(items)
  const blocks = partialSums.length
  let index = 0
  let operands: Buffer[] = []
  let preparedIndex = -1
  for (;;) {
    const block = Atomics.add(progress, PROGRESS.nextBlock, 1)
    if (block >= blocks) return
    while (starts[index + 1] <= block) index++ // claims of one thread only grow
    if (preparedIndex !== index) {
      operands = items[index].operands.map(({ buffer, byteOffset, byteLength }) =>
        Buffer.from(buffer, byteOffset, byteLength),
      )
      preparedIndex = index
    }
    const from = (block - starts[index]) * BLOCK
    const to = Math.min(from + BLOCK, items[index].operands[0].length)
    partialSums[block] = kernels.run(kernel, operands, items[index].scalars, from, to)
    Atomics.add(progress, PROGRESS.byThread + thread, 1)
    const done = Atomics.add(progress, PROGRESS.blocksDone, 1) + 1
    if (done === blocks) Atomics.notify(progress, PROGRESS.blocksDone)
  }
}

/** Stops the task on every thread and wakes the caller, who then finds `failed` set. */
export function failTask({ progress, partialSums }: Task): void {
  Atomics.store(progress, PROGRESS.failed, 1)
  Atomics.store(progress, PROGRESS.nextBlock, partialSums.length)
  Atomics.add(progress, PROGRESS.blocksDone, 1)
  Atomics.notify(progress, PROGRESS.blocksDone)
}
