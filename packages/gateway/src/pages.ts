import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { allow } from './http-edge.ts'

/** A file for browsers. */
export interface Page {
  readonly type: string
  readonly body: string
}

/** What a browser may show beside the API, by path. */
export interface Pages {
  /** Known without loading anything. */
  readonly paths: readonly string[]
  load(): Promise<ReadonlyMap<string, Page>>
}

interface Ready {
  readonly headers: Readonly<Record<string, string>>
  readonly plain: Buffer
  readonly gzipped: Buffer
}

/** Scripts and styles are files of ours alone, nothing may frame these pages, and they talk to nobody else. */
const headers = {
  'content-security-policy': [
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  // Kept by browsers, and asked for every time whether it is still the same.
  'cache-control': 'no-cache',
  vary: 'accept-encoding',
}

const compress = promisify(gzip)

/** Gives what serves a path of theirs; the files are made when the first one is asked for. */
export function createPageServer({ paths, load }: Pages) {
  let loading: Promise<ReadonlyMap<string, Ready>> | undefined
  const readyPages = async () => {
    loading ??= load().then(prepare)
    try {
      return await loading
    } catch (error) {
      // The next visitor tries again.
      loading = undefined
      throw error
    }
  }
  return {
    has: (path: string) => paths.includes(path),
    serve: async (req: IncomingMessage, res: ServerResponse, path: string): Promise<void> => {
      if (req.method !== 'HEAD') allow(req, 'GET')
      const page = (await readyPages()).get(path)
      if (page === undefined) throw new Error(`pages have no ${path}, though they say that they do`)
      if (req.headers['if-none-match'] === page.headers.etag) {
        res.writeHead(304, page.headers).end()
        return
      }
      const isZipped = /\bgzip\b/.test(String(req.headers['accept-encoding'] ?? ''))
      const body = isZipped ? page.gzipped : page.plain
      const encoding: Record<string, string> = isZipped ? { 'content-encoding': 'gzip' } : {}
      res.writeHead(200, { ...page.headers, ...encoding, 'content-length': body.length })
      res.end(req.method === 'HEAD' ? undefined : body)
    },
  }
}

async function prepare(pages: ReadonlyMap<string, Page>): Promise<ReadonlyMap<string, Ready>> {
  const entries = [...pages].map(async ([path, { type, body }]) => {
    const plain = Buffer.from(body)
    const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`
    const ready = { headers: { ...headers, 'content-type': type, etag }, plain, gzipped: await compress(plain) }
    return [path, ready] as const
  })
  return new Map(await Promise.all(entries))
}
