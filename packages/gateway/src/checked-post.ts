/** POST to an address of the configuration: only where it may lead, no redirects, a reply of at most a megabyte. */
import { isIP } from 'node:net'
import { PlumblineError } from '@plumbline/contracts'
import { Agent, request } from 'undici'
import { addressKind, allowedKinds, checkedLookup, type ResolveName } from './address.ts'
import { readCapped } from './capped-body.ts'

export interface PostReply {
  readonly status: number
  readonly text: string
}

export interface Poster {
  /** Rejects where no reply comes. */
  post(body: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<PostReply>
  close(): Promise<void>
}

const maxReplyBytes = 2 ** 20

export interface PosterOptions {
  /** Names the address in errors, as "alarms.webhook.url". */
  readonly what: string
  readonly isPrivate: boolean
  /** At most, at a time. */
  readonly connections?: number
  /** The operating system's when left out. */
  readonly resolve?: ResolveName
}

/** Throws what is wrong with the address. */
export function createPoster(url: string, { what, isPrivate, connections = 4, resolve }: PosterOptions): Poster {
  const { hostname, href } = parsePostUrl(url, what)
  const lookup = checkedLookup({ kinds: allowedKinds(hostname, isPrivate), resolve })
  const agent = new Agent({ connections, connect: { timeout: 5_000, lookup } })
  return {
    post: async (body, headers, signal) => {
      const reply = await request(href, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        signal,
        dispatcher: agent,
      })
      const text = await readCapped(reply.body, maxReplyBytes, 'the reply has more than a megabyte')
      return { status: reply.statusCode, text }
    },
    close: () => agent.destroy(),
  }
}

function parsePostUrl(url: string, what: string): URL {
  const wrong = (reason: string, hint: string) => new PlumblineError('USAGE_ADDRESS', `${what} ${reason}.`, { hint })
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:')
    throw wrong('is no http or https address', 'For example https://hooks.example.com/plumbline.')
  if (parsed.username !== '' || parsed.password !== '')
    throw wrong('must not hold a user or password', 'Secrets go into environment variables.')
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && addressKind(host) === 'refused')
    throw wrong(
      `leads to ${host}`,
      'Link-local, metadata and reserved addresses are never asked; a server on this machine is at 127.0.0.1.',
    )
  return parsed
}
