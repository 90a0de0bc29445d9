import { createHash, type Hash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { openTensorFile, readChunks } from './tensor-file.ts'

const MODEL_FILES =
  /^(config|generation_config|tokenizer|tokenizer_config)\.json$|^chat_template\.jinja$|\.(safetensors|gguf)$/

/**
 * The sha256 of a model folder or file, of all its bytes: a merged adapter may have changed few of them. That takes half
 * a second for 540 MB where the processor has instructions for SHA. Undefined when nothing is there. Throws
 * FILE_UNREADABLE and FILE_TRUNCATED.
 */
export async function hashModel(path: string): Promise<string | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats) return undefined
  const isFolder = stats.isDirectory()
  const names = isFolder ? (await readdir(path)).filter((file) => MODEL_FILES.test(file)).sort() : [basename(path)]
  const sha256 = createHash('sha256')
  for (const file of names) {
    sha256.update(`${file}\n`)
    await hashFile(isFolder ? join(path, file) : path, sha256)
  }
  return sha256.digest('hex')
}

async function hashFile(path: string, sha256: Hash): Promise<void> {
  const { size } = await stat(path)
  sha256.update(`${size}\n`)
  // A device such as /dev/zero has no size and no end.
  if (size === 0) return
  const file = await openTensorFile(path)
  try {
    for await (const chunk of readChunks({ file, offset: 0, byteLength: size }, 1)) sha256.update(chunk)
  } finally {
    await file.close()
  }
}
