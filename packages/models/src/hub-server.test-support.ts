import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One file of the served repository. */
export interface ServedFile {
  body: Buffer
  /** Stored as large file: sha256 in the tree, and a redirect to another path for the bytes. */
  lfs?: boolean
  /** What the tree says instead of the truth. */
  says?: { size?: number; sha256?: string }
}

/** How the server misbehaves. */
export interface Behaviour {
  /** Drop the connection after so many bytes of a file, once. */
  cutAfter?: number
  ignoreRange?: boolean
  /** Answer 416 to every Range. */
  refuseRange?: boolean
  /** Answer every API request so. */
  apiAnswer?: { status: number; headers?: Record<string, string>; body?: string }
  /** Never answer API requests. */
  hang?: boolean
  /** Stop sending, but keep the connection, after so many bytes. */
  stallAfter?: number
  /** Milliseconds before each file's bytes. */
  delayMs?: number
  /** Answer every request for bytes with this status, and these headers and body. */
  fileStatus?: number
  fileHeaders?: Record<string, string>
  fileBody?: string
}

export interface HubServer {
  url: string
  /** "GET /path range=bytes=5-" for each request, in order. */
  log: string[]
  /** Authorization headers by path. */
  authorizations: Map<string, string | undefined>
  behaviour: Behaviour
  close: () => Promise<void>
}

export const commit = '0123456789abcdef0123456789abcdef01234567'
/** What the tag v1 stands for. */
export const taggedCommit = '89abcdef0123456789abcdef0123456789abcdef'
const commits: Record<string, string> = { HEAD: commit, main: commit, 'refs/pr/1': commit, v1: taggedCommit }

/** A server that speaks as much of the hub's protocol as a pull needs, for one repository. */
export async function startHub(
  repo: string,
  files: Record<string, ServedFile>,
  behaviour: Behaviour = {},
): Promise<HubServer> {
  const hub: HubServer = { url: '', log: [], authorizations: new Map(), behaviour, close: async () => undefined }
  const server = createServer((request, response) => answer(hub, repo, files, request, response))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  hub.close = () =>
    new Promise((closed) => {
      server.close(() => closed())
      server.closeAllConnections()
    })
  return hub
}

function answer(
  hub: HubServer,
  repo: string,
  files: Record<string, ServedFile>,
  request: IncomingMessage,
  response: ServerResponse,
): unknown {
  const path = decodeURIComponent(new URL(request.url ?? '', hub.url).pathname)
  const range = request.headers.range
  hub.log.push(`${request.method} ${path}${range ? ` range=${range}` : ''}`)
  hub.authorizations.set(path, request.headers.authorization)
  if (path.startsWith('/api/')) return answerApi(hub.behaviour, repo, files, path, response)
  const [, kind, name] = /^\/(cdn|.*\/resolve\/[^/]+)\/(.+)$/.exec(path) ?? []
  const file = name && Object.hasOwn(files, name) ? files[name] : undefined
  if (!file) return send(response, 404, { 'x-error-code': 'EntryNotFound' }, '')
  if (kind !== 'cdn' && file.lfs) {
    // As on the real hub the bytes come from another host; "localhost" is one for a browser or fetch.
    const cdn = hub.url.replace('127.0.0.1', 'localhost')
    return send(response, 302, { location: `${cdn}/cdn/${name}`, 'x-linked-etag': `"${sha256(file.body)}"` }, '')
  }
  setTimeout(() => sendFile(hub.behaviour, file.body, range, response), hub.behaviour.delayMs ?? 0)
}

function answerApi(
  behaviour: Behaviour,
  repo: string,
  files: Record<string, ServedFile>,
  path: string,
  response: ServerResponse,
): unknown {
  if (behaviour.hang) return
  if (behaviour.apiAnswer) {
    const { status, headers = {}, body = '' } = behaviour.apiAnswer
    return send(response, status, headers, body)
  }
  const json = { 'content-type': 'application/json' }
  const [, revision] = new RegExp(`^/api/models/${repo}/revision/(.+)`).exec(path) ?? []
  if (revision !== undefined) {
    const sha = commits[revision] ?? Object.values(commits).find((known) => known === revision)
    if (sha !== undefined)
      return send(response, 200, json, JSON.stringify({ _id: '1', id: repo, sha, lastModified: '2025-01-01' }))
    const unknown = JSON.stringify({ error: `Invalid rev id: ${revision}` })
    return send(response, 404, { ...json, 'x-error-code': 'RevisionNotFound' }, unknown)
  }
  if (Object.values(commits).some((known) => path === `/api/models/${repo}/tree/${known}`)) {
    return send(response, 200, json, JSON.stringify(Object.entries(files).map(([name, file]) => entry(name, file))))
  }
  send(response, 404, { ...json, 'x-error-code': 'RepoNotFound' }, JSON.stringify({ error: 'Repository not found' }))
}

function entry(path: string, { body, lfs, says }: ServedFile): object {
  const size = says?.size ?? body.length
  const oid = createHash('sha1').update(`blob ${body.length}\0`).update(body).digest('hex')
  if (!lfs) return { type: 'file', path, size, oid }
  return { type: 'file', path, size, oid, lfs: { oid: says?.sha256 ?? sha256(body), size, pointerSize: 130 } }
}

export function sha256(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  response.writeHead(status, headers).end(body)
}

function sendFile(behaviour: Behaviour, body: Buffer, range: string | undefined, response: ServerResponse): unknown {
  if (behaviour.fileStatus) {
    return send(response, behaviour.fileStatus, behaviour.fileHeaders ?? {}, behaviour.fileBody ?? '')
  }
  if (range && behaviour.refuseRange) return send(response, 416, { 'content-range': `bytes */${body.length}` }, '')
  const from = range && !behaviour.ignoreRange ? Number(/bytes=(\d+)-/.exec(range)?.[1]) : 0
  const rest = body.subarray(from)
  response.writeHead(range && !behaviour.ignoreRange ? 206 : 200, {
    'content-length': rest.length,
    etag: `"${sha256(body)}"`,
    ...(range && !behaviour.ignoreRange && { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` }),
  })
  const { cutAfter, stallAfter } = behaviour
  if (cutAfter !== undefined && rest.length > cutAfter) {
    behaviour.cutAfter = undefined
    response.write(rest.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 50))
  } else if (stallAfter !== undefined && rest.length > stallAfter) {
    response.write(rest.subarray(0, stallAfter))
  } else {
    response.end(rest)
  }
}
