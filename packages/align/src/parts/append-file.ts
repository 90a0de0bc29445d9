import { type FileHandle, open } from 'node:fs/promises'

// A reader who follows the file sees a line at most this late.
const FLUSH_AFTER_MS = 2000

/**
 * A file that grows at its end. What is appended waits in memory for at most two seconds; a write that fails is shown by
 * the next `append` or `flush`, and is tried again from the same place, so a torn line is never followed by another.
 */
export class AppendFile {
  readonly path: string
  readonly #handle: FileHandle
  #pending: Uint8Array[] = []
  #written: number
  #lastWrite: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #failure: unknown

  private constructor(path: string, handle: FileHandle, written: number) {
    this.path = path
    this.#handle = handle
    this.#written = written
  }

  /** Opens a file and cuts it off after `bytes`; it may be shorter, and is made when missing. */
  static async open(path: string, bytes: number): Promise<AppendFile> {
    // "a" would write at the end whatever position is given.
    const handle = await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return open(path, 'w+')
      throw error
    })
    try {
      const { size } = await handle.stat()
      if (size > bytes) await handle.truncate(bytes)
      return new AppendFile(path, handle, Math.min(size, bytes))
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Bytes of the file with all that was appended. */
  get size(): number {
    return this.#pending.reduce((sum, { length }) => sum + length, this.#written)
  }

  append(data: string | Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#pending.push(typeof data === 'string' ? Buffer.from(data) : data)
    this.#timer ??= setTimeout(() => {
      this.flush().catch((error: unknown) => {
        this.#failure = error
      })
    }, FLUSH_AFTER_MS).unref()
  }

  /** Writes what waits; with `sync`, returns only after it is on the disk. */
  flush({ sync = false } = {}): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const write = this.#lastWrite.then(() => this.#write(sync))
    this.#lastWrite = write.catch(() => {})
    return write
  }

  /** Flushes and closes. The file is closed also when the last write fails. */
  async close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      await this.#handle.close()
    }
  }

  async #write(sync: boolean): Promise<void> {
    const count = this.#pending.length
    const bytes = Buffer.concat(this.#pending)
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#written + done)
      done += bytesWritten
    }
    this.#pending.splice(0, count)
    this.#written += bytes.length
    this.#failure = undefined
    if (sync) await this.#handle.sync()
  }
}
