import { randomBytes, timingSafeEqual } from 'node:crypto'
import { projectSchema } from '@plumbline/contracts'
import { hmacSha256, type Store, type StoredSecret } from '@plumbline/store'

/** What a feedback token says: whoever has it was given this answer. */
export interface FeedbackClaim {
  readonly record: string
  readonly project: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** Signs the tokens that go out with answers, and checks those that come back. */
export interface FeedbackTokens {
  sign(record: string, project: string): string
  verify(token: string): FeedbackClaim | 'invalid' | 'expired'
  /** Signs with a new secret from now on. What the older ones signed stays good until it expires. */
  rotate(): Promise<{ readonly id: string; readonly createdAt: string }>
  /** Reads the secrets anew, as another process may have made one. */
  refresh(): Promise<void>
}

const purpose = 'feedback'
const version = 'plf1'
const dayMs = 86_400_000
/** Processes learn of a new secret one after the other. */
const slackMs = 60_000

/** `plf1.SECRET-ID.RECORD.PROJECT.EXPIRY.SIGNATURE`: no part holds a dot, the expiry is in seconds since 1970. */
export function signFeedback({ record, project, expiresAt }: FeedbackClaim, secret: StoredSecret): string {
  const claim = [version, secret.id, record, project, Math.floor(expiresAt / 1000)].join('.')
  return `${claim}.${signatureOf(claim, secret)}`
}

/** `secrets` are those that may have signed it. */
export function verifyFeedback(
  token: string,
  secrets: readonly StoredSecret[],
  now: number,
): FeedbackClaim | 'invalid' | 'expired' {
  const [, claim, id, record, project, expiry, signature] = tokenPattern.exec(token.slice(0, maxToken + 1)) ?? []
  const secret = secrets.find((one) => one.id === id)
  if (secret === undefined || !projectSchema.safeParse(project).success) return 'invalid'
  if (!timingSafeEqual(Buffer.from(signatureOf(claim, secret)), Buffer.from(signature))) return 'invalid'
  const expiresAt = Number(expiry) * 1000
  return now < expiresAt ? { record, project, expiresAt } : 'expired'
}

const maxToken = 300
// The last character of a base64url of 32 bytes carries 4 bits: one spelling of a signature, no other.
const tokenPattern = new RegExp(
  `^(${version}\\.(fs_[\\w-]{12})\\.([0-9a-f-]{36})\\.([a-z0-9_-]{1,63})\\.(\\d{1,12}))\\.([\\w-]{42}[AEIMQUYcgkosw048])$`,
)

/** Each answer is signed, so what of it depends on the secret alone is made ready once. */
const signers = new WeakMap<StoredSecret, (claim: string) => string>()

function signatureOf(claim: string, secret: StoredSecret): string {
  let sign = signers.get(secret)
  if (sign === undefined) {
    sign = hmacSha256(Buffer.from(secret.secret, 'base64url'))
    signers.set(secret, sign)
  }
  return sign(claim)
}

/** Reads the secrets, and makes the first one. */
export async function openFeedbackTokens(
  store: Pick<Store, 'insertSecret' | 'listSecrets'>,
  now: () => number,
  days = 30,
): Promise<FeedbackTokens> {
  let secrets: readonly StoredSecret[] = []
  const refresh = async () => {
    const found = await store.listSecrets(purpose)
    // A secret has signed nothing that is still good when its successor is older than a token lives.
    const oldest = now() - days * dayMs - slackMs
    secrets = found.filter((_, i) => i + 1 === found.length || Date.parse(found[i + 1].createdAt) > oldest)
  }
  const rotate = async () => {
    const id = `fs_${randomBytes(9).toString('base64url')}`
    const createdAt = new Date(now()).toISOString()
    await store.insertSecret({ id, purpose, secret: randomBytes(32).toString('base64url'), createdAt })
    await refresh()
    return { id, createdAt }
  }
  await refresh()
  if (secrets.length === 0) await rotate()
  return {
    sign: (record, project) => signFeedback({ record, project, expiresAt: now() + days * dayMs }, secrets.at(-1)!),
    verify: (token) => verifyFeedback(token, secrets, now()),
    rotate,
    refresh,
  }
}
