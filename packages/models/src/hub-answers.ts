import { HubApiError } from '@huggingface/hub'
import { PlumblineError, reason } from '@plumbline/contracts'

/** The hub could not be asked, or did not answer as the hub does: a reason to try elsewhere. */
export class HubUnreachable extends Error {
  override readonly name = 'HubUnreachable'
  readonly code: string
  readonly hint: string

  constructor(
    message: string,
    {
      code = 'HUB_UNREACHABLE',
      hint = 'Check the network, or set HF_ENDPOINT to a mirror.',
      cause,
    }: UnreachableOptions,
  ) {
    super(message, { cause })
    this.code = code
    this.hint = hint
  }
}

interface UnreachableOptions {
  code?: string
  hint?: string
  cause?: unknown
}

/** Who was asked, for what, and as whom. */
export interface Asked {
  repo: string
  hubUrl: string
  hasToken: boolean
  revision?: string | undefined
}

/** The hub could not be reached, or something unexpected came. */
export function notReached(hubUrl: string, error: unknown): HubUnreachable {
  return new HubUnreachable(`${new URL(hubUrl).host} cannot be reached (${reason(error)})`, { cause: error })
}

/** Answers that are not about the model asked for: the hub is busy or broken, or it is not the hub that answers. */
export function strangeAnswer(
  { status, headers }: Response,
  hubUrl: string,
  body: Uint8Array = new Uint8Array(),
): HubUnreachable | undefined {
  const { host } = new URL(hubUrl)
  if (status === 429) {
    const after = /^\d{1,6}$/.exec(headers.get('retry-after') ?? '')?.[0]
    return new HubUnreachable(`${host} has had too many requests from here (HTTP status 429)`, {
      code: 'HUB_BUSY',
      hint: `Try again ${after ? `in ${after} s` : 'in a few minutes'}; with a token in HF_TOKEN the hub allows more.`,
    })
  }
  if (status >= 500)
    return new HubUnreachable(`${host} has a fault of its own (HTTP status ${status})`, {
      code: 'HUB_FAULT',
      hint: 'Try again later, or set HF_ENDPOINT to a mirror.',
    })
  // The hub's API speaks JSON, and no file that we fetch is a web page.
  const isPage = /^text\/html\b/i.test(headers.get('content-type') ?? '') || /^\s*</.test(startOf(body))
  if (!isPage) return undefined
  const who = status < 400 ? 'the login page of this network?' : 'a proxy that blocks the hub?'
  return new HubUnreachable(`what answers as ${host} sends a web page (HTTP status ${status}): ${who}`, {
    code: 'HUB_NOT_ANSWERING',
    hint:
      status < 400
        ? 'Open a browser and log in to the network. Behind a proxy set HTTPS_PROXY.'
        : 'Ask who runs the network, set HTTPS_PROXY, or set HF_ENDPOINT to a mirror.',
  })
}

function startOf(body: Uint8Array): string {
  return Buffer.from(body.subarray(0, 200)).toString('latin1')
}

/** An answer of the API in which the hub itself says no. A middlebox says no too, but not in JSON. */
export function refusal(asked: Asked, error: unknown): PlumblineError | undefined {
  const answer = error instanceof HubApiError ? error.data?.error : undefined
  if (!(error instanceof HubApiError) || typeof answer !== 'string') return undefined
  const says = answer.slice(0, 200)
  if (error.statusCode === 404 && asked.revision !== undefined && /revision|rev id/i.test(says))
    return new PlumblineError(
      'REVISION_NOT_FOUND',
      `${asked.repo} has no branch, tag or commit "${asked.revision}" (404). The hub says: ${says}`,
      { hint: 'See "Files and versions" on the model page. Without @revision the branch main is taken.', cause: error },
    )
  if (error.statusCode === 404)
    return new PlumblineError('MODEL_NOT_FOUND', `${asked.repo} is not on the hub (404). The hub says: ${says}`, {
      hint: 'Check the name: org/name as on the model page. For a private model set HF_TOKEN.',
      cause: error,
    })
  return noAccess(asked, error.statusCode, asked.repo, { says: ` The hub says: ${says}` })
}

/** Why a file does not come: an HTTP status that `strangeAnswer` has no word for. */
export function fileRefusal(asked: Asked, status: number, file: string): PlumblineError {
  const what = `${asked.repo}, ${file}`
  return (
    noAccess(asked, status, what, { exists: true }) ??
    new PlumblineError('HUB_REFUSED', `${what}: the hub answers with HTTP status ${status}.`, {
      hint: 'Run the same command again: the repository may have changed meanwhile.',
    })
  )
}

function noAccess(
  { repo, hubUrl, hasToken }: Asked,
  status: number,
  what: string,
  { says = '', exists = false } = {},
): PlumblineError | undefined {
  const terms = `ccept the terms at ${hubUrl}/${repo}`
  if (status === 401 && hasToken)
    return new PlumblineError('HUB_TOKEN', `${what}: the hub does not take the token in HF_TOKEN (401).${says}`, {
      hint: `Make a new one at ${hubUrl}/settings/tokens, or unset HF_TOKEN: most models need none.`,
    })
  if (status === 401) {
    const why = exists ? 'the model is private or gated' : 'there is no such model, or it is private or gated'
    return new PlumblineError('MODEL_GATED', `${what}: the hub wants to know who asks (401): ${why}.${says}`, {
      hint: `${exists ? 'A' : 'Check the name. For a gated model a'}${terms} and set HF_TOKEN to a token of your account.`,
    })
  }
  if (status !== 403) return undefined
  const token = hasToken
    ? 'use a token in HF_TOKEN that may read gated models'
    : 'set HF_TOKEN to a token of your account'
  return new PlumblineError('MODEL_GATED', `${what}: the hub does not give it to this account (403).${says}`, {
    hint: `A${terms}, and ${token}.`,
  })
}
