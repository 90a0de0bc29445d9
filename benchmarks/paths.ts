import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Root of the checkout. */
export const rootFolder = fileURLToPath(new URL('../', import.meta.url))

/** What benches make and keep: the peers' environment, the model as a Hugging Face folder. Not in git. */
export const benchFolder = join(rootFolder, '.bench')
