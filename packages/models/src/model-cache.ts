import { existsSync, readdirSync, statSync } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { nearest, PlumblineError } from '@plumbline/contracts'
import { z } from 'zod'
import { withLock } from './cache-lock.ts'
import { knownModels } from './known-models.ts'

/** `plumbline.json` in a cached model's folder: where it came from and what must be there. */
const manifestSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  source: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('hub'),
      repo: z.string(),
      /** The branch, tag or commit asked for; absent for the branch main. */
      revision: z.string().optional(),
      commit: z.string(),
    }),
    z.object({ kind: z.literal('pypi'), package: z.string(), version: z.string() }),
  ]),
  /** ISO 8601, UTC. */
  pulledAt: z.string(),
  files: z.array(z.object({ path: z.string(), bytes: z.number().int().nonnegative(), sha256: z.string() })).min(1),
})
export type Manifest = z.infer<typeof manifestSchema>
export type ManifestFile = Manifest['files'][number]

export interface CacheOptions {
  /** The cache folder; see `plumblineHome`. */
  home: string
}

/** What a user may ask for by name. */
export interface ModelName {
  /** As shown: a short name, or `org/name`, `@revision` and `:file.gguf` where given. */
  name: string
  repo: string
  /** The branch, tag or commit asked for. */
  revision?: string
  /** The GGUF file asked for, where a repository holds several. */
  gguf?: string
  /** Folder below `<home>/models`. */
  folder: string
}

export const manifestName = 'plumbline.json'
export const modelsFolder = (home: string) => join(home, 'models')
export const partialFolder = (home: string, folder: string) => join(home, 'models', '.partial', folder)
export const lockPath = (home: string, folder: string) => `${partialFolder(home, folder)}.lock`

/** The cache folder: `PLUMBLINE_HOME`, or `~/.cache/plumbline`. */
export function plumblineHome(env: Record<string, string | undefined>): string {
  return resolve(env.PLUMBLINE_HOME || join(homedir(), '.cache', 'plumbline'))
}

const part = '[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?'
const hubName = new RegExp(`^(${part}/${part})(?:@(${part}(?:/${part}){0,3}))?(?::(${part}\\.gguf))?$`)

/** Reads a short name or `org/name[@revision][:file.gguf]`; undefined when it is neither. */
export function parseModelName(text: string): ModelName | undefined {
  const short = text.toLowerCase()
  if (Object.hasOwn(knownModels, short)) {
    return { name: short, repo: knownModels[short as keyof typeof knownModels].hub.repo, folder: short }
  }
  // The hub forbids "--" and "..", which keeps `<org>--<name>` free of collisions.
  const found = /--|\.\./.test(text) ? null : hubName.exec(text)
  if (!found) return undefined
  const [, repo, revision, gguf] = found
  // "@" and "+" are in no name, so no two names share a folder.
  const at = revision === undefined ? '' : `@${revision.replaceAll('/', '+')}`
  const folder = `${repo.replace('/', '--')}${at}${gguf === undefined ? '' : `--${gguf}`}`
  return { name: text, repo, ...(revision && { revision }), ...(gguf && { gguf }), folder }
}

/**
 * The path of a model on this disk: a folder as it is, or a `.gguf` file. Undefined when there is none. A known short name
 * means the model of that name, unless a folder called so holds weights.
 */
export function localModel(text: string): string | undefined {
  if (!existsSync(text)) return undefined
  if (Object.hasOwn(knownModels, text.toLowerCase()) && !holdsWeights(text)) return undefined
  return statSync(text).isDirectory() || text.toLowerCase().endsWith('.gguf') ? resolve(text) : undefined
}

function holdsWeights(path: string): boolean {
  return statSync(path).isDirectory() && readdirSync(path).some((name) => /\.(safetensors|gguf)$/i.test(name))
}

/** What a loader opens: the GGUF file where the model is one, else the folder. */
export function modelPath(home: string, folder: string, manifest: Manifest): string {
  const root = join(modelsFolder(home), folder)
  const weights = manifest.files.find((file) => file.path.endsWith('.gguf'))
  return weights ? join(root, weights.path) : root
}

/** The manifest of a complete cached model; undefined when it is absent, unreadable, or files are missing or cut. */
export async function readCached(home: string, folder: string): Promise<Manifest | undefined> {
  const root = join(modelsFolder(home), folder)
  try {
    const manifest = manifestSchema.parse(JSON.parse(await readFile(join(root, manifestName), 'utf8')))
    for (const file of manifest.files) {
      if ((await stat(join(root, file.path))).size !== file.bytes) return undefined
    }
    return manifest
  } catch {
    return undefined
  }
}

/** Writes the manifest into a staged folder, durably. */
export async function writeManifest(staged: string, manifest: Manifest): Promise<void> {
  const handle = await open(join(staged, manifestName), 'w')
  try {
    await handle.writeFile(`${JSON.stringify(manifest, null, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export interface CachedModel {
  name: string
  path: string
  bytes: number
  source: Manifest['source']
  pulledAt: string
}

/** Every complete model in the cache, sorted by name. */
export async function listModels({ home }: CacheOptions): Promise<CachedModel[]> {
  const folders = await readdir(modelsFolder(home)).catch(() => [])
  const models: CachedModel[] = []
  for (const folder of folders.filter((name) => !name.startsWith('.'))) {
    const manifest = await readCached(home, folder)
    if (!manifest) continue
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
    const { name, source, pulledAt } = manifest
    models.push({ name, path: modelPath(home, folder, manifest), bytes, source, pulledAt })
  }
  return models.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Removes a model and whatever an unfinished pull of it left. Returns the bytes of the removed model. */
export async function removeModel(text: string, { home }: CacheOptions): Promise<{ name: string; bytes: number }> {
  const model = parseModelName(text)
  const root = model && join(modelsFolder(home), model.folder)
  if (!model || !root || !(existsSync(root) || existsSync(partialFolder(home, model.folder)))) {
    throw await notFound(text, home, 'Nothing was removed.', 'plumb models list shows what is there.')
  }
  return await withLock(lockPath(home, model.folder), async () => {
    const manifest = await readCached(home, model.folder)
    // One rename takes the model away from readers; deleting a large folder takes a while and may be cut.
    const doomed = `${partialFolder(home, model.folder)}.removed`
    await rm(doomed, { recursive: true, force: true })
    if (existsSync(root)) await rename(root, doomed)
    await rm(doomed, { recursive: true, force: true })
    await rm(partialFolder(home, model.folder), { recursive: true, force: true })
    return { name: model.name, bytes: manifest?.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0 }
  })
}

/** The path of a local model, by path or by the name of a pulled one. Throws MODEL_NOT_FOUND. Fetches nothing. */
export async function resolveModel(nameOrPath: string, { home }: CacheOptions): Promise<string> {
  const local = localModel(nameOrPath)
  if (local) return local
  const model = looksLikePath(nameOrPath) ? undefined : parseModelName(nameOrPath)
  const manifest = model && (await readCached(home, model.folder))
  if (model && manifest) return modelPath(home, model.folder, manifest)
  throw await notFound(
    nameOrPath,
    home,
    'It is neither a path on this disk nor a pulled model.',
    model && `plumb models pull ${model.name}`,
  )
}

/** MODEL_NOT_FOUND with the nearest name that is known or cached. What is meant as a path is told as one. */
export async function notFound(text: string, home: string, why: string, next?: string): Promise<PlumblineError> {
  const cached = (await listModels({ home })).map((model) => model.name)
  const names = [...new Set([...Object.keys(knownModels), ...cached])]
  if (looksLikePath(text) || isOtherFile(text)) {
    if (isModelPart(text))
      return new PlumblineError('MODEL_NOT_FOUND', `${text}: It is a file of a model, not the model.`, {
        hint: `Give the folder that it lies in: ${dirname(text)}.`,
      })
    const reason = existsSync(text) ? 'It is neither a folder nor a .gguf file' : 'There is no such file or folder'
    const tilde = text.startsWith('~') ? ' The shell did not replace "~": write the whole path.' : ''
    return new PlumblineError('MODEL_NOT_FOUND', `${text}: ${reason}.`, {
      hint: `Give a folder, a .gguf file, org/name on the hub, or a name: ${names.slice(0, 10).join(', ')}.${tilde}`,
    })
  }
  const close = nearest(text, names) ?? names.find((name) => text.length > 2 && name.startsWith(text.toLowerCase()))
  const hints = [
    close === undefined ? `Names: ${names.slice(0, 10).join(', ')}.` : undefined,
    close && close !== text ? `Did you mean ${close}?` : undefined,
    next ?? `plumb models pull ${close ?? '<name>'}`,
  ]
  return new PlumblineError('MODEL_NOT_FOUND', `No model "${text}" in ${modelsFolder(home)}. ${why}`, {
    hint: hints.filter(Boolean).join(' '),
  })
}

/** Whether a path is that of a file beside a config.json, or of it. */
function isModelPart(text: string): boolean {
  return isOtherFile(text) && existsSync(join(dirname(text), 'config.json'))
}

/** Whether a name is that of a file on this disk; `localModel` did not take it. */
export function isOtherFile(text: string): boolean {
  return existsSync(text) && statSync(text).isFile() && !Object.hasOwn(knownModels, text.toLowerCase())
}

/** Whether a name cannot but be meant as a path on this disk; `org/name:file.gguf` is a file of the hub's. */
export function looksLikePath(text: string): boolean {
  return /^[/.~\\]|^[A-Za-z]:[/\\]/.test(text) || (/\.gguf$/i.test(text) && !text.includes(':'))
}
