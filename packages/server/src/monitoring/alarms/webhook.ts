import { createHmac } from 'node:crypto'
import { createPoster } from '@plumbline/gateway/checked-post'
import type { Channels } from './channels.ts'
import type { AlarmMessage } from './message.ts'

const patienceMs = 10_000

/**
 * Headers of the Standard Webhooks specification: HMAC-SHA256 over id, time in seconds and body. `id` is the same for every
 * try, so that a receiver can tell a second delivery.
 */
function signatureHeaders(
  secret: string,
  { id, now, body }: { readonly id: string; readonly now: number; readonly body: string },
): Record<string, string> {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret)
  const timestamp = String(Math.floor(now / 1000))
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

/** Delivers once; throws where it was not taken with a status of 2xx. */
export async function sendWebhook(
  message: AlarmMessage,
  { url, isPrivate, secret }: NonNullable<Channels['webhook']>,
  { now, signal }: { readonly now: number; readonly signal: AbortSignal },
): Promise<void> {
  const body = JSON.stringify(message)
  const poster = createPoster(url, { what: 'alarms.webhook.url', isPrivate })
  try {
    const headers = signatureHeaders(secret, { id: message.alarm.id, now, body })
    const { status } = await poster.post(body, headers, AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]))
    if (status < 200 || status > 299) throw new Error(`the webhook answered with status ${status}`)
  } finally {
    await poster.close()
  }
}
