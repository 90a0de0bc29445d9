import type { ActorKind, NewFeedback } from '@plumbline/contracts'
import { type ApiParts, type Caller, type OpenRequest, RequestError } from '@plumbline/gateway'
import type { FeedbackLimiter } from './limits.ts'

/** Whose feedback it is, and about which answer: what a token or a key has proved. */
export interface Sender {
  readonly project: string
  readonly interaction: string
  readonly actorKind: ActorKind
  readonly actor: string
}

type Parts = Pick<ApiParts, 'feedback' | 'store' | 'hashSubject'>

/** Throws a RequestError when nobody good sends it, and when that one sends too much. */
export async function findSender(
  sent: NewFeedback,
  { identify, headers }: Pick<OpenRequest<unknown, unknown, unknown>, 'identify' | 'headers'>,
  limiter: FeedbackLimiter,
  parts: Parts,
): Promise<Sender> {
  const interaction = sent.interaction ?? sent.id
  if (sent.token !== undefined) {
    // A session that a browser sends along, ended or not, is of no matter beside a token.
    const caller = headers.authorization === undefined ? undefined : await identify()
    return byToken(sent, interaction, caller, limiter, parts)
  }
  const caller = await identify()
  if (caller === undefined) {
    const message = 'Feedback needs the token of its answer, or a key: send "token", or "Authorization: Bearer KEY".'
    throw new RequestError(401, 'invalid_api_key', message, { headers: { 'www-authenticate': 'Bearer' } })
  }
  if (interaction === undefined) {
    throw new RequestError(
      400,
      'invalid_value',
      'interaction: is needed with a key: the id of the answer, or of its record.',
      { param: 'interaction' },
    )
  }
  return byKey(sent, interaction, caller, limiter, parts)
}

async function byToken(
  { token, actor }: NewFeedback,
  interaction: string | undefined,
  caller: Caller | undefined,
  limiter: FeedbackLimiter,
  { feedback, store, hashSubject }: Parts,
): Promise<Sender> {
  const claim = feedback.verify(token!)
  if (claim === 'invalid')
    throw new RequestError(
      401,
      'invalid_token',
      'The token is none of ours: send the header x-plumbline-feedback of the answer, unchanged.',
      { param: 'token' },
    )
  if (claim === 'expired') {
    throw new RequestError(401, 'token_expired', 'The token has expired: feedback on this answer needs a key by now.', {
      param: 'token',
    })
  }
  const { project, record } = claim
  limiter.take('token', record)
  const isForeign = caller !== undefined && caller.key.project !== project
  if (isForeign || !(await isNamed(interaction, claim, store))) {
    throw new RequestError(
      403,
      'foreign_token',
      'The token belongs to another answer: send the one that came with this answer.',
      { param: 'token' },
    )
  }
  if (actor !== undefined) {
    throw new RequestError(403, 'wrong_actor', 'Who speaks is settled by the token: leave actor out.', {
      param: 'actor',
    })
  }
  return { project, interaction: record, actorKind: 'end_user', actor: hashSubject(project, `token:${record}`) }
}

/** An answer may be named by its own id beside the token; one that is not in the store yet cannot be compared. */
async function isNamed(
  interaction: string | undefined,
  { project, record }: { project: string; record: string },
  store: Parts['store'],
): Promise<boolean> {
  if (interaction === undefined || interaction === record) return true
  const found = await store.findInteraction(project, interaction)
  return found === undefined || found.record === record
}

function byKey(
  { actor }: NewFeedback,
  interaction: string,
  { key: { id, project, scope } }: Caller,
  limiter: FeedbackLimiter,
  { hashSubject }: Parts,
): Sender {
  const actorKind = actor?.kind ?? (scope === 'client' ? 'end_user' : 'moderator')
  if (actorKind === 'moderator' && scope === 'client') {
    const message = 'A key of scope client does not speak for moderators: use one of scope reviewer or admin.'
    throw new RequestError(403, 'wrong_actor', message, { param: 'actor' })
  }
  limiter.take('key', id)
  const hashed = hashSubject(project, actor?.id ?? `key:${id}`)
  if (actor?.id !== undefined && actorKind === 'end_user') limiter.take('actor', `${project} ${hashed}`)
  return { project, interaction, actorKind, actor: hashed }
}
