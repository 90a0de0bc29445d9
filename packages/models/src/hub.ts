import { join } from 'node:path'
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub'
import { PlumblineError } from '@plumbline/contracts'
import { ensureSpace, formatBytes } from './disk.ts'
import { bytesPresent, downloadFile, HttpStatus } from './download.ts'
import type { Checksum } from './file-hash.ts'
import { type Asked, fileRefusal, HubUnreachable, notReached, refusal, strangeAnswer } from './hub-answers.ts'
import type { ManifestFile } from './model-cache.ts'
import { type OnProgress, throwIfAborted } from './pull-events.ts'

export interface HubOptions {
  fetch: typeof fetch
  /** e.g. `https://huggingface.co`, without a slash at its end. */
  hubUrl: string
  token?: string | undefined
  /** For each question before the download starts. */
  hubTimeoutMs: number
  stallMs: number
  maxTotalBytes: number
  maxFiles: number
  signal?: AbortSignal | undefined
  onProgress?: OnProgress | undefined
}

interface HubFile {
  path: string
  bytes: number
  checksum: Checksum
}

export interface HubPlan {
  repo: string
  /** The commit that the asked revision stands for now; the download reads this one. */
  commit: string
  files: HubFile[]
}

/** Answers of the hub's API are small; anything larger is not the hub's. */
const maxAnswerBytes = 16 * 2 ** 20

/**
 * Asks the hub for the commit and the files of a model and chooses what to fetch.
 * Throws HubUnreachable when there is no sensible answer in time, and PlumblineError when the hub says no.
 */
export async function planHubPull(
  repo: string,
  wanted: { revision?: string | undefined; gguf?: string | undefined },
  options: HubOptions,
): Promise<HubPlan> {
  const { hubUrl, maxFiles, maxTotalBytes, signal } = options
  try {
    const ask = { hubUrl, fetch: apiFetch(options) }
    const { sha } = await modelInfo({
      name: repo,
      additionalFields: ['sha'],
      ...(wanted.revision && { revision: wanted.revision }),
      ...ask,
    })
    if (!/^[0-9a-f]{40}$/.test(sha)) throw new Error(`"${String(sha).slice(0, 60)}" is not a commit`)
    const entries: ListFileEntry[] = []
    for await (const entry of listFiles({ repo, revision: sha, ...ask })) {
      entries.push(entry)
      if (entries.length > maxFiles) throw rejected(repo, `it has more than ${maxFiles} files`)
    }
    const files = chooseFiles(repo, entries, wanted.gguf)
    const total = files.reduce((sum, file) => sum + file.bytes, 0)
    if (total > maxTotalBytes) {
      throw rejected(repo, `it needs ${formatBytes(total)}, the limit is ${formatBytes(maxTotalBytes)}`)
    }
    return { repo, commit: sha, files }
  } catch (error) {
    throwIfAborted(signal, repo)
    if (error instanceof PlumblineError || error instanceof HubUnreachable) throw error
    throw refusal(asked(repo, options, wanted.revision), error) ?? notReached(hubUrl, error)
  }
}

function asked(repo: string, { hubUrl, token }: HubOptions, revision?: string): Asked {
  return { repo, hubUrl, hasToken: Boolean(token), revision }
}

/** Fetches the planned files into `staged`, one after the other. Throws what `downloadFile` throws, or HubUnreachable. */
export async function downloadPlan(plan: HubPlan, staged: string, options: HubOptions): Promise<ManifestFile[]> {
  let missing = 0
  for (const file of plan.files) missing += file.bytes - (await bytesPresent(join(staged, file.path), file))
  await ensureSpace(staged, missing)
  const files: ManifestFile[] = []
  for (const { path, bytes, checksum } of plan.files) {
    const url = `${options.hubUrl}/${plan.repo}/resolve/${plan.commit}/${encodeURIComponent(path)}`
    const request = { url, target: join(staged, path), file: path, bytes, checksum }
    try {
      // Plain HTTP instead of the library's downloadFile. Its Xet path cannot continue a partial file, and its blobs
      // turn errors into strings, which hides the status and a server that ignores Range.
      const sha256 = await downloadFile(request, { ...options, fetch: fileFetch(options) })
      files.push({ path, bytes, sha256 })
    } catch (error) {
      // A failed fetch carries its system call one level deeper; one that carries it itself is about our own files.
      if (error instanceof PlumblineError || error instanceof HubUnreachable) throw error
      if ((error as NodeJS.ErrnoException).syscall) throw error
      if (error instanceof HttpStatus) throw fileRefusal(asked(plan.repo, options), error.status, path)
      throw notReached(options.hubUrl, error)
    }
  }
  return files
}

const textFiles =
  /^(?:config|generation_config|adapter_config|tokenizer[\w.-]*|special_tokens_map|added_tokens|chat_template)\.json$|^chat_template\.jinja$/
const weightsIndex = 'model.safetensors.index.json'

/**
 * The files of a model that we read: configuration, tokenizer, chat template, safetensors; or one GGUF file.
 * Never `.bin` (pickles run code) and never code. Names are checked, for they become paths on the user's disk.
 */
export function chooseFiles(repo: string, entries: readonly ListFileEntry[], gguf?: string): HubFile[] {
  const files = entries.filter((entry) => entry.type === 'file' && typeof entry.path === 'string')
  const names = files.map((entry) => entry.path)
  const ggufs = names.filter((name) => /\.gguf$/i.test(name))
  let chosen: string[]
  if (gguf) {
    if (!names.includes(gguf)) throw noWeights(repo, `there is no ${gguf}`, ggufs)
    chosen = [gguf]
  } else {
    const weights = chooseSafetensors(names)
    if (weights.length > 0) chosen = [...names.filter((name) => textFiles.test(name)), ...weights]
    else if (ggufs.length === 1) chosen = ggufs
    else throw noWeights(repo, weightsProblem(names, ggufs), ggufs)
  }
  return files.filter((entry) => chosen.includes(entry.path)).map((entry) => describe(repo, entry))
}

function chooseSafetensors(names: readonly string[]): string[] {
  if (names.includes('model.safetensors')) return ['model.safetensors']
  const shards = names.filter((name) => /^model-\d+-of-\d+\.safetensors$/.test(name))
  // Some repositories hold the same weights twice, sharded and "consolidated".
  if (names.includes(weightsIndex) && shards.length > 0) return [weightsIndex, ...shards]
  return names.filter((name) => name.endsWith('.safetensors'))
}

function weightsProblem(names: readonly string[], ggufs: readonly string[]): string {
  if (ggufs.length > 1) return `it has ${ggufs.length} GGUF files and no safetensors: say which one`
  return names.some((name) => name.endsWith('.bin'))
    ? 'its weights are PyTorch .bin files, which can run code, so Plumbline does not read them'
    : 'it has neither safetensors nor GGUF files'
}

function describe(repo: string, { path, size, oid, lfs }: ListFileEntry): HubFile {
  const bytes = lfs?.size ?? size
  if (!/^[A-Za-z0-9][\w.+=-]{0,199}$/.test(path) || path.includes('..')) {
    throw rejected(repo, `${JSON.stringify(path.slice(0, 120))} is not a plain file name`)
  }
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw rejected(repo, `${path} has the size ${bytes}`)
  if (lfs && /^[0-9a-f]{64}$/.test(lfs.oid)) return { path, bytes, checksum: { kind: 'sha256', hex: lfs.oid } }
  if (!lfs && oid && /^[0-9a-f]{40}$/.test(oid)) return { path, bytes, checksum: { kind: 'git-sha1', hex: oid } }
  throw rejected(repo, `the hub gives no checksum for ${path}`)
}

function noWeights(repo: string, why: string, ggufs: readonly string[]): PlumblineError {
  const listed = ggufs.length > 0 ? ` Its GGUF files: ${ggufs.slice(0, 30).join(', ')}.` : ''
  return new PlumblineError('MODEL_NO_WEIGHTS', `${repo}: ${why}.${listed}`, {
    hint: ggufs.length > 0 ? `plumb models pull ${repo}:${ggufs[0]}` : 'Choose a repository with safetensors or GGUF.',
  })
}

function rejected(repo: string, why: string): PlumblineError {
  return new PlumblineError('HUB_REJECTED', `${repo} is not pulled: ${why}.`, {
    hint: 'Check the name and HF_ENDPOINT. A real model on the hub does not look like this.',
  })
}

/** `fetch` that shows the token to the hub alone: never to another host that an answer links or redirects to. */
function withToken({ fetch, hubUrl, token }: HubOptions): typeof fetch {
  return (input, init) => {
    const headers = new Headers(init?.headers)
    if (token && new URL(String(input)).origin === new URL(hubUrl).origin)
      headers.set('authorization', `Bearer ${token}`)
    return fetch(input, { ...init, headers })
  }
}

/** `fetch` for files: what is no file of the hub's is told as such. */
function fileFetch(options: HubOptions): typeof fetch {
  return async (input, init) => {
    const response = await withToken(options)(input, init)
    const strange = strangeAnswer(response, options.hubUrl)
    if (strange) throw strange
    return response
  }
}

/** `fetch` for the hub's API: on time, on the hub's own host, and of bounded size. */
function apiFetch(options: HubOptions): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input))
    if (url.origin !== new URL(options.hubUrl).origin) throw new Error(`the hub links to another host, ${url.host}`)
    const timeout = AbortSignal.timeout(options.hubTimeoutMs)
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
    try {
      const response = await withToken(options)(url, { ...init, signal })
      const body = await readCapped(response)
      const strange = strangeAnswer(response, options.hubUrl, body)
      if (strange) throw strange
      return new Response(body, { status: response.status, headers: response.headers })
    } catch (error) {
      throw timeout.aborted ? new Error(`no answer within ${options.hubTimeoutMs / 1000} s`, { cause: error }) : error
    }
  }
}

async function readCapped(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxAnswerBytes) throw new Error(`the answer is larger than ${formatBytes(maxAnswerBytes)}`)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}
