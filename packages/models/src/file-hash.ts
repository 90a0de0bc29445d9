import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** What a file must hash to: sha256 of its bytes, or sha1 as git counts a blob. Hex. */
export type Checksum = { kind: 'sha256'; hex: string } | { kind: 'git-sha1'; hex: string }

/** Hashes a file as it is written: always sha256 (for the manifest), and git's sha1 where that is what is known. */
export class FileHash {
  readonly #sha256: Hash = createHash('sha256')
  readonly #gitSha1: Hash

  /** `bytes` is the size of the whole file: git hashes it ahead of the content. */
  constructor(bytes: number) {
    this.#gitSha1 = createHash('sha1').update(`blob ${bytes}\0`)
  }

  update(chunk: Uint8Array): void {
    this.#sha256.update(chunk)
    this.#gitSha1.update(chunk)
  }

  /** Adds the first `bytes` bytes of a file. */
  async updateFromFile(path: string, bytes: number, signal?: AbortSignal): Promise<void> {
    if (bytes === 0) return
    const stream = createReadStream(path, { end: bytes - 1, highWaterMark: 1 << 20, ...(signal && { signal }) })
    for await (const chunk of stream) this.update(chunk)
  }

  /** The sha256, and whether the file is the expected one. */
  finish(expected: Checksum): { sha256: string; matches: boolean } {
    const sha256 = this.#sha256.digest('hex')
    const actual = expected.kind === 'sha256' ? sha256 : this.#gitSha1.digest('hex')
    return { sha256, matches: actual === expected.hex }
  }
}
