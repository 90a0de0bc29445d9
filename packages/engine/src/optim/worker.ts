/** A thread of the compute pool: sleeps until there is a task, works on it, sleeps again. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { createKernels } from './kernels.ts'
import { failTask, type Task, workOn } from './task.ts'

/** What the pool hands to each worker at its start. */
export interface WorkerSetup {
  readonly thread: number
  readonly port: MessagePort
  /** One count, raised with every task posted; the workers sleep on it. */
  readonly tasksPosted: Int32Array<SharedArrayBuffer>
}

function work({ thread, port, tasksPosted }: WorkerSetup): never {
  const kernels = createKernels()
  let current: Task | undefined
  process.on('exit', () => current && failTask(current))
  parentPort?.postMessage('ready')
  for (let seen = 0; ; seen = Atomics.load(tasksPosted, 0)) {
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
      current = next.message as Task
      try {
        workOn(current, kernels, thread)
      } catch (error) {
        port.postMessage(error)
        failTask(current)
      }
      current = undefined
    }
    Atomics.wait(tasksPosted, 0, seen) // costs no CPU; ends when the count is not `seen` any more, even at once
  }
}

work(workerData as WorkerSetup)
